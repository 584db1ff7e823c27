//! Jobs of a plan with tokio-cron-scheduler: `tokio-peer PLAN CHILD STAMPS` (see ../main.rs).

use std::error::Error;
use std::process::Stdio;

use tokio::process::Command;
use tokio_cron_scheduler::{Job, JobScheduler};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [plan, child, stamps, ..] = &args[..] else {
        return Err("a plan, a child and a file are needed".into());
    };
    let scheduler = JobScheduler::new().await?;
    for line in std::fs::read_to_string(plan)?.lines() {
        let (child, stamps) = (child.clone(), stamps.clone());
        let job = Job::new_async(line, move |_, _| {
            let mut command = Command::new(&child);
            command.args(["stamp", &stamps]).stdin(Stdio::null()).stdout(Stdio::null());
            Box::pin(async move {
                if let Err(error) = command.status().await {
                    eprintln!("{error}");
                }
            })
        })?;
        scheduler.add(job).await?;
    }
    scheduler.start().await?;
    println!("ready");
    std::future::pending::<()>().await;
    Ok(())
}
