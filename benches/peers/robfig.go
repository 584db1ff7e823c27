// Jobs of a plan with robfig/cron: robfig PLAN CHILD STAMPS (see main.rs).
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"

	"github.com/robfig/cron"
)

func main() {
	plan, child, stamps := os.Args[1], os.Args[2], os.Args[3]
	file, err := os.Open(plan)
	if err != nil {
		panic(err)
	}
	scheduler := cron.New(cron.WithSeconds())
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		_, err := scheduler.AddFunc(lines.Text(), func() {
			if err := exec.Command(child, "stamp", stamps).Run(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
		if err != nil {
			panic(err)
		}
	}
	scheduler.Start()
	fmt.Println("ready")
	select {}
}
