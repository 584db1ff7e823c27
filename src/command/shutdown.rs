//! `schedrs shutdown`: the end of a running schedrs.

use serde_json::json;

use super::asking::{self, Asking};
use crate::cli::{Context, ExitCode};

/// Stop a running schedrs
///
/// As SIGTERM does: nothing new starts, what runs has `stop_grace` to end and is ended then.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Without `stop_grace`: what runs is killed
    #[arg(long)]
    now: bool,

    /// Wait until it has stopped
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    asking: Asking,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = args.asking.connect()?;
    let request = json!({ "do": "shutdown", "now": args.now });
    let body = client.ask(&request).map_err(asking::told)?;
    if args.wait {
        // It closes its connections when it has stopped; there is nothing else to come.
        let _ = client.set_patience(None).and_then(|()| client.receive());
    }
    args.asking.say(&body, |_| match args.wait {
        true => "schedrs has stopped".to_owned(),
        false => "schedrs is stopping".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}
