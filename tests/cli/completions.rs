//! Completion, as far as it can be had without a terminal: what `schedrs __complete` answers, and
//! the scripts in those shells that are there.

use std::io::Write;
use std::process::Command;

use crate::harness::{Bench, Done, Running, on_a_terminal_of, read_until};

const JOBS: &str = "
[jobs.backup]
command = 'true'
interval = '1h'
name = 'Nightly backup'

[jobs.'back up']
command = 'true'
interval = '1h'

[jobs.'re:port']
command = 'true'
interval = '1h'

# What is not seen is not offered: a shell would show it as it is.
[jobs.'re\u{202e}trop']
command = 'true'
interval = '1h'
";

fn complete(bench: &Bench, args: &[&str]) -> Vec<String> {
    let mut words = vec!["__complete"];
    words.extend(args);
    let done = Running::start(&mut bench.command(&words)).wait();
    assert_eq!(done.code, Some(0), "{done:?}");
    done.out
}

#[test]
fn jobs_options_and_values() {
    let bench = Bench::new(JOBS);
    bench.write("other.toml", "jobs.elsewhere = { command = 'true', interval = '1h' }\n");
    // (what is typed, what may come)
    let rows: [(&[&str], &[&str]); 15] = [
        (&["schedrs", "doctor", "back"], &[":words", "back up", "backup\tNightly backup"]),
        (&["schedrs", "doctor", "backup", "re"], &[":words", "re:port"]),
        (&["schedrs", "doctor", "'back u"], &[":words", "back up"]),
        (&["schedrs", "doctor", "back\\ u"], &[":words", "back up"]),
        (&["schedrs", "run", "--once", "re"], &[":words", "re:port"]),
        (&["schedrs", "run", "other.toml", "--once", ""], &[":words", "elsewhere"]),
        (&["schedrs", "shell", "-f", "other.toml", "e"], &[":words", "elsewhere"]),
        (&["schedrs", "run", ""], &[":files"]),
        // A job or a file: files alone where no job fits.
        (
            &["schedrs", "next", ""],
            &[":words", "back up", "backup\tNightly backup", "re:port", "jobs.toml", "other.toml"],
        ),
        (&["schedrs", "next", "backup", "re"], &[":words", "re:port"]),
        (&["schedrs", "next", "o"], &[":words", "other.toml"]),
        (&["schedrs", "next", "other.toml", ""], &[":words", "elsewhere"]),
        (&["schedrs", "next", "sub/"], &[":files"]),
        (&["schedrs", "validate", "--output", "j"], &[":words", "json"]),
        (&["schedrs", "next", "--timezone=Europe/Ber"], &[":words", "--timezone=Europe/Berlin"]),
    ];
    for (typed, may_come) in rows {
        let args = [&["fish", "--"], typed].concat();
        assert_eq!(complete(&bench, &args), may_come, "{typed:?}");
    }
    let subcommands = complete(&bench, &["fish", "--", "schedrs", ""]);
    let help = Running::start(&mut bench.command(&["--help"])).wait();
    let named = help.out.iter().skip_while(|line| !line.starts_with("Before you run")).skip(1);
    let named: Vec<&str> = named
        .take_while(|line| !line.starts_with("Options:"))
        .filter(|line| line.starts_with("  "))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(named.len() > 25, "{named:?}");
    for name in named {
        assert!(subcommands.iter().any(|line| line.starts_with(name)), "{name}");
    }
    assert!(!subcommands.iter().any(|line| line.starts_with("__")));
    // A jobfile with errors, or none at all, completes nothing and is no error here.
    bench.write("jobs.toml", "[jobs.a]\n");
    assert_eq!(complete(&bench, &["zsh", "--", "schedrs", "doctor", ""]), [":words"]);
}

#[test]
fn jobs_of_a_running_scheduler() {
    let bench = Bench::new(JOBS);
    let mut running = bench.run();
    running.event("starting", "");
    let added = ["add", "--id", "later", "--in", "1h", "--", "true"];
    let added = Running::start(&mut bench.command(&added)).wait();
    assert_eq!(added.code, Some(0), "{added:?}");
    // It is asked even where the file is broken by now.
    bench.write("jobs.toml", "[jobs.a]\n");
    let words = complete(&bench, &["zsh", "--", "schedrs", "show", ""]);
    assert_eq!(words, [":words", "back up", "backup:Nightly backup", "later", "re\\:port"]);
    running.stop();
}

/// Runs a script in a shell that has the completion; `None` where there is no such shell.
fn in_shell(bench: &Bench, shell: &[&str], script: &str) -> Option<Done> {
    let there = Command::new(shell[0]).args(["-c", ":"]).output().is_ok();
    if !there {
        return None;
    }
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_schedrs")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = bench.command(&[]);
    let mut shell_command = Command::new(shell[0]);
    shell_command.args(&shell[1..]).arg(script).current_dir(bench.dir.path());
    shell_command.env("PATH", path).env("HOME", bench.dir.path()).env_remove("SCHEDRS_JOBFILE");
    shell_command.stdin(std::process::Stdio::null());
    shell_command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    std::mem::swap(&mut command, &mut shell_command);
    Some(Running::start(&mut command).wait())
}

#[test]
fn bash() {
    let bench = Bench::new(JOBS);
    let rows = [
        ("schedrs doctor back", &["back\\ up", "backup"][..]),
        ("schedrs doctor back\\ ", &["back\\ up"]),
        ("schedrs doctor re:p", &["port"]),
        // Within a quote bash cuts nowhere, and escapes nothing.
        ("schedrs doctor 're:p", &["re:port"]),
        ("schedrs doctor 'back", &["back up", "backup"]),
        ("schedrs doctor \"back u", &["back up"]),
        ("schedrs next --timezone='Europe/Ber", &["Europe/Berlin"]),
        ("schedrs next --timezone=Europe/Ber", &["Europe/Berlin"]),
        ("schedrs doct", &["doctor"]),
        ("schedrs next back", &["back\\ up", "backup"]),
        ("schedrs next jo", &["jobs.toml"]),
        ("schedrs run ", &[]),
    ];
    for (line, replies) in rows {
        let line = line.replace('\'', r"'\''");
        let script = format!(
            "eval \"$(schedrs completions bash)\"\n\
             compopt() {{ :; }}\n\
             COMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&(:'\n\
             COMP_LINE='{line}' COMP_POINT=${{#COMP_LINE}}\n\
             COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}\n\
             _schedrs schedrs\n\
             for reply in \"${{COMPREPLY[@]}}\"; do printf '%s\\n' \"$reply\"; done\n"
        );
        let Some(done) = in_shell(&bench, &["bash", "-c"], &script) else { return };
        assert_eq!(done.out, replies, "{line}: {done:?}");
    }
}

#[test]
fn fish() {
    let bench = Bench::new(JOBS);
    let rows = [
        ("schedrs doctor backu", &["backup\tNightly backup"][..]),
        (
            "schedrs doct",
            &["doctor\tLook for what will bite: programs, directories, users, \
                            permissions, clock and zones"],
        ),
        ("schedrs run job", &["jobs.toml"]),
    ];
    for (line, replies) in rows {
        let script = format!("schedrs completions fish | source; complete -C '{line}'");
        let Some(done) = in_shell(&bench, &["fish", "-c"], &script) else { return };
        assert_eq!(done.out, replies, "{line}: {done:?}");
    }
}

#[test]
fn zsh() {
    let bench = Bench::new(JOBS);
    let script = "autoload -Uz compinit && compinit -u -D && eval \"$(schedrs completions zsh)\" \
                  && (( $+functions[_schedrs] )) && print ${_comps[schedrs]}";
    let Some(done) = in_shell(&bench, &["zsh", "-c"], script) else { return };
    assert_eq!(done.out, ["_schedrs"], "{done:?}");
}

/// What a line becomes with a tab behind it, at a terminal: its words as zsh then takes them.
fn tabbed_by_zsh(bench: &Bench, line: &str) -> Option<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_schedrs")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("zsh");
    command.args(["-f", "-i"]).current_dir(bench.dir.path()).env("PATH", path);
    command.env("HOME", bench.dir.path()).env("TERM", "dumb").env_remove("SCHEDRS_JOBFILE");
    Command::new("zsh").args(["-c", ":"]).output().ok()?;
    let (mut terminal, _theirs, mut child) = on_a_terminal_of(200, command);
    let mut type_in = |text: &str| terminal.write_all(text.as_bytes()).unwrap();
    // What is typed is shown, too: the words that are waited for do not stand in it.
    type_in("PS1=; unsetopt zle_bracketed_paste; autoload -Uz compinit && compinit -u -D\n");
    type_in("eval \"$(schedrs completions zsh)\"; print -r -- rea''dy\n");
    read_until(&mut terminal, "ready");
    // Behind the line goes what prints its words, once the tab is done.
    let mut type_in = |text: &str| terminal.write_all(text.as_bytes()).unwrap();
    type_in(&format!("{line}\t\u{1}print -rl -- 'beg''in' \u{5} 'e''nd'\n"));
    let seen = read_until(&mut terminal, "\nend\r");
    drop(terminal);
    child.wait().unwrap();
    let (_, words) = seen.rsplit_once("\nbegin\r\n").unwrap();
    Some(words.split("\r\nend").next().unwrap().replace("\r\n", "|"))
}

/// Also within quotes, which zsh leaves open or closes itself.
#[test]
fn zsh_at_a_terminal() {
    let bench = Bench::new(JOBS);
    let rows = [
        ("schedrs doctor back\\ ", "schedrs|doctor|back up"),
        ("schedrs doctor 'back u", "schedrs|doctor|back up"),
        ("schedrs doctor \"back u", "schedrs|doctor|back up"),
        ("schedrs doctor re:p", "schedrs|doctor|re:port"),
        ("schedrs doctor 're:p", "schedrs|doctor|re:port"),
        ("schedrs next --timezone='Europe/Berl", "schedrs|next|--timezone=Europe/Berlin"),
        ("schedrs next jo", "schedrs|next|jobs.toml"),
        ("schedrs doct", "schedrs|doctor"),
    ];
    for (line, words) in rows {
        let Some(tabbed) = tabbed_by_zsh(&bench, line) else { return };
        assert_eq!(tabbed, words, "{line}");
    }
}
