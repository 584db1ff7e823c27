//! `schedrs web`: the page (`crate::web`), in a process of its own. `desk` gets to know what it shows.

mod desk;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use self::desk::Desk;
use super::history_source::HistoryArgs;
use super::named::AsArgument;
use crate::cli::{Context, ExitCode};
use crate::core::web::{Listen, WebSettings};
use crate::notify::secret::{self, Machine};
use crate::sys::clock;
use crate::web::{Access, Bound, Server, random, serve};

/// Serve a page that shows jobs, runs and messages
///
/// The page shows what fails, runs and is due next, all jobs, each run with its output, the last day
/// and the next, who changed what, and who was told what; with a shared store, of the whole fleet.
/// It runs beside the scheduler, reads the store and asks over the control socket, so nothing that
/// happens to it disturbs jobs. Also serves /metrics, /health and /ready.
///
/// `[web]` in the jobfile says who may look: see schedrs-jobs(5). Without it, the page is on
/// 127.0.0.1:8080, for whoever has the link that is printed at the start.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs web
  schedrs web jobs.toml
  schedrs web --listen 127.0.0.1:9000
  schedrs web --listen unix:/run/schedrs/web.sock")]
pub(crate) struct Args {
    /// Listen at this address and port, or at unix:/path [default: the jobfile's, or 127.0.0.1:8080]
    #[arg(long, value_name = "WHERE")]
    listen: Option<String>,

    #[command(flatten)]
    place: AsArgument<HistoryArgs>,

    /// Ask the scheduler on this socket [default: $SCHEDRS_SOCKET, or the jobfile's]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = Desk::new(&args.place.place(), args.socket.as_deref(), context)?;
    let settings = desk.settings();
    let listen = match &args.listen {
        Some(text) => match Listen::parse(text) {
            Ok(listen) => listen,
            Err(why) => bail!("--listen {}: this {why}", crate::problem::clean(text)),
        },
        None => settings.listen.clone().unwrap_or_default(),
    };
    may_listen(&settings, &listen)?;
    let token = match &settings.token {
        Some(token) => match secret::resolve(token, &Machine) {
            Ok(token) => token.secret_text().to_owned(),
            Err(why) => bail!("[web] token: {why}"),
        },
        None => random().context("no random numbers")?,
    };
    let bound = Bound::new(&listen).with_context(|| format!("cannot listen at {listen}"))?;
    let listen = bound.listen()?;
    let access = Access::new(settings.clone(), &listen, &token);
    greet(&settings, &listen, &access)?;
    serve(&Server::new(access, Arc::new(desk)), bound)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether it may listen there: for all of a network only if somebody has said who may look.
fn may_listen(settings: &WebSettings, listen: &Listen) -> anyhow::Result<()> {
    let Listen::Tcp(address) = listen else { return Ok(()) };
    if settings.user_header.is_some() && settings.trust.is_empty() {
        bail!("[web] user_header: nobody is trusted to send it: name the proxies with `trust`");
    }
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if settings.token.is_none() && settings.user_header.is_none() {
        bail!(
            "{listen} can be reached from other machines: set `token` in [web] of the jobfile, or \
             `user_header` and `trust` for a proxy; or listen at 127.0.0.1"
        );
    }
    crate::cli::say(&format!(
        "schedrs: warning: {listen} can be reached from other machines, and nothing is encrypted: \
         let a proxy with TLS stand before it"
    ));
    Ok(())
}

/// Says where it is.
fn greet(settings: &WebSettings, listen: &Listen, access: &Access) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match listen {
        Listen::Unix(path) => writeln!(out, "listening at unix:{}", crate::problem::clean(path))?,
        Listen::Tcp(address) if settings.user_header.is_some() => {
            writeln!(out, "listening at http://{address}/")?;
        }
        Listen::Tcp(address) => {
            let link = access.new_link(clock::mono())?;
            writeln!(out, "listening at http://{address}/")?;
            writeln!(out, "open this once, within 5 minutes: http://{address}/login?once={link}")?;
        }
    }
    out.flush()?;
    Ok(())
}
