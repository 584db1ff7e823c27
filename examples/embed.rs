//! A program with a scheduler inside: `cargo run --example embed`.
//!
//! It adds jobs, receives their outcomes, changes one, and waits for active runs when it ends.
//! APScheduler's `BackgroundScheduler` is used like this in Python.

use schedrs::background::{BackgroundScheduler, Config, Error, Happening};

fn main() -> Result<(), Error> {
    // Settings for all jobs, written as in a jobfile; the text may be empty.
    let jobfile = r#"
        [defaults]
        misfire_grace_time = "10s"

        [jobs.hello]
        command = ["echo", "hello from the jobfile"]
        date = "now"
    "#;
    let config = Config { jobfile: jobfile.to_owned(), ..Config::default() };
    let scheduler = BackgroundScheduler::start(config)?;
    let happenings = scheduler.subscribe();

    scheduler.add_job("tick", "command = ['echo', 'tick']\ninterval = '1s'", false)?;
    scheduler.add_job("later", "command = ['echo', 'never seen']\ninterval = '30m'", false)?;
    for view in scheduler.get_jobs()? {
        println!("{}: next {:?}", view.job.id, view.next);
    }

    // A run now, and its end.
    let record = scheduler.run_job("later")?;
    println!("later: {} after {:?}", record.outcome, record.duration);

    let mut ticks = 0;
    for happening in happenings {
        if let Happening::Outcome(record) = happening
            && &*record.job.id == "tick"
        {
            ticks += 1;
            println!("tick {ticks}: {}", record.outcome);
            match ticks {
                2 => drop(scheduler.reschedule_job("tick", "interval = '500ms'")?),
                4 => break,
                _ => {}
            }
        }
    }

    scheduler.pause_job("tick")?;
    scheduler.remove_job("later")?;
    if let Err(error) = scheduler.remove_job("latr") {
        println!("as it should be: {error}");
    }
    scheduler.shutdown(true);
    Ok(())
}
