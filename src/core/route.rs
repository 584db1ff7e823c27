//! `[notify.NAME]`: a way to tell people of jobs, as it is meant. What is told on it when is decided by
//! `crate::core::notify`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::calendar::Windows;
use super::command::Command;
use super::instant::Instant;
use super::window::TimeOfDay;
use super::zone::Zone;
use crate::core::sort;

/// What a notification says. In the order in which people are to see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A run has failed for good: its retries are used up.
    Failed,
    /// The job has gone on failing since that was told.
    StillFailing,
    /// Due times were missed.
    Missed,
    /// Nothing has succeeded for as long as `expect` says.
    Overdue,
    /// The job fails and recovers again and again: nothing more is said until it is steady.
    Flapping,
    /// It is steady again.
    Steady,
    /// The job succeeds again, after a failure that was told.
    Recovered,
    /// A run takes longer than it should.
    Slow,
    /// A run has succeeded, and printed far less than usual.
    Quiet,
    /// A run has succeeded, and was over far sooner than usual.
    Fast,
    /// An attempt has failed, and another will follow.
    Retrying,
    /// Due times were deliberately not run.
    Skipped,
    /// A run has succeeded.
    Succeeded,
    /// What has become of all jobs of the route, see [`Route::digest`].
    Digest,
    /// Somebody tries the route.
    Test,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Kind; 15] = [
        Kind::Failed,
        Kind::StillFailing,
        Kind::Missed,
        Kind::Overdue,
        Kind::Flapping,
        Kind::Steady,
        Kind::Recovered,
        Kind::Slow,
        Kind::Quiet,
        Kind::Fast,
        Kind::Retrying,
        Kind::Skipped,
        Kind::Succeeded,
        Kind::Digest,
        Kind::Test,
    ];

    /// What `on` of a route may name. The others belong to [`Kind::Failed`], and a test is for every
    /// route.
    pub const NAMED: [Kind; 10] = [
        Kind::Failed,
        Kind::Recovered,
        Kind::Missed,
        Kind::Overdue,
        Kind::Slow,
        Kind::Quiet,
        Kind::Fast,
        Kind::Retrying,
        Kind::Skipped,
        Kind::Succeeded,
    ];

    /// What a route hears of that does not say.
    pub const DEFAULT: [Kind; 4] = [Kind::Failed, Kind::Recovered, Kind::Missed, Kind::Overdue];

    /// Whether it is about one job.
    pub fn is_of_job(self) -> bool {
        !matches!(self, Kind::Digest | Kind::Test)
    }

    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::StillFailing => "still_failing",
            Kind::Missed => "missed",
            Kind::Overdue => "overdue",
            Kind::Flapping => "flapping",
            Kind::Steady => "steady",
            Kind::Recovered => "recovered",
            Kind::Slow => "slow",
            Kind::Quiet => "quiet",
            Kind::Fast => "fast",
            Kind::Retrying => "retrying",
            Kind::Skipped => "skipped",
            Kind::Succeeded => "succeeded",
            Kind::Digest => "digest",
            Kind::Test => "test",
        }
    }

    /// The kind of that word.
    pub fn of(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether it says that something is wrong.
    pub fn is_bad(self) -> bool {
        match self {
            Kind::Failed
            | Kind::StillFailing
            | Kind::Missed
            | Kind::Overdue
            | Kind::Flapping
            | Kind::Slow
            | Kind::Quiet
            | Kind::Fast
            | Kind::Retrying => true,
            Kind::Steady
            | Kind::Recovered
            | Kind::Skipped
            | Kind::Succeeded
            | Kind::Digest
            | Kind::Test => false,
        }
    }
}

/// `[notify.NAME]`: a way to tell somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: Box<str>,
    /// Where it leads.
    pub to: Service,
    /// What it hears of.
    pub on: BTreeSet<Kind>,
    /// A failure is told after so many in a row, at least 1.
    pub after: u32,
    /// How long until it is told again that a job goes on failing; `None`: never.
    pub again: Option<Duration>,
    /// It is told again as well when the job fails in another way: with another exit code, or by its time limit.
    pub on_change: bool,
    /// How long the first notification waits for others, to be one message with them.
    pub gather: Duration,
    /// At least so long between two messages.
    pub pause: Duration,
    /// How many notifications a message holds at most; what is beyond is counted in it.
    pub most: usize,
    /// How much of what a run has printed goes along, in bytes: its end.
    pub output: usize,
    /// It hears of all together at that time, and of nothing by itself.
    pub digest: Option<TimeOfDay>,
    /// When it rests: what there is to tell then goes at the end of that.
    pub except: Windows,
    /// On whose clocks.
    pub zone: Zone,
    /// Where a message goes that could not be delivered here: the name of another route.
    pub fallback: Option<Box<str>>,
    /// How its messages get there.
    pub transport: Transport,
}

impl Route {
    /// A route that says nothing but its name and where it leads.
    pub fn of(name: &str, to: Service) -> Route {
        let Habit { gather, pause, most, output } = to.habit();
        Route {
            name: name.into(),
            to,
            on: sort::collect(Kind::DEFAULT),
            after: 1,
            again: Some(Duration::from_secs(24 * 3600)),
            on_change: false,
            gather,
            pause,
            most,
            output,
            digest: None,
            except: Windows::default(),
            zone: Zone::utc(),
            fallback: None,
            transport: Transport::default(),
        }
    }

    /// Until when it rests, if it does so at that time.
    pub fn rests_until(&self, at: Instant) -> Option<Instant> {
        self.except.end(at, &self.zone)
    }

    /// Whether it is to hear of that by itself, and not in a digest.
    pub fn wants(&self, kind: Kind) -> bool {
        match kind {
            kind if self.digest.is_some() && kind.is_of_job() => false,
            Kind::StillFailing | Kind::Flapping | Kind::Steady => self.on.contains(&Kind::Failed),
            Kind::Digest | Kind::Test => true,
            kind => self.on.contains(&kind),
        }
    }
}

/// How a request gets to where it leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Transport {
    /// A file with the certificates of authorities that are trusted beside those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<Box<str>>,
    /// It may go beyond this machine and private networks in clear.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http_ok: bool,
    /// The proxy of a request with TLS, or none if it is empty; `None`: as the environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Box<str>>,
}

impl Transport {
    /// What it is written with, beside where it leads.
    pub const KEYS: [&str; 3] = ["ca_file", "http_ok", "proxy"];

    /// Whether nothing is said of it.
    pub fn is_plain(&self) -> bool {
        *self == Transport::default()
    }
}

/// A text that is not to be shown, or where it is read when it is needed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// It stands in the jobfile.
    Text(Box<str>),
    /// It is the content of this file, without white space at its end.
    File(Box<str>),
    /// It is the value of this variable of the scheduler's environment.
    Env(Box<str>),
    /// It is a credential of this name that systemd has given (`LoadCredential=`).
    Credential(Box<str>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Secret::Text(_) => f.write_str("Text(***)"),
            Secret::File(path) => f.debug_tuple("File").field(path).finish(),
            Secret::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Secret::Credential(name) => f.debug_tuple("Credential").field(name).finish(),
        }
    }
}

/// Where a route leads: the service, and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// An HTTP endpoint that takes Standard Webhooks.
    Webhook {
        /// Its URL.
        url: Secret,
        /// What requests are signed with: `whsec_` and base64.
        secret: Option<Secret>,
    },
    /// A Slack incoming webhook, or what takes the same (Mattermost, Rocket.Chat).
    Slack {
        /// Its URL.
        url: Secret,
    },
    /// A Discord webhook.
    Discord {
        /// Its URL.
        url: Secret,
    },
    /// A topic of ntfy.
    Ntfy {
        /// The URL of the topic.
        url: Secret,
        /// An access token.
        token: Option<Secret>,
    },
    /// Gotify.
    Gotify {
        /// The URL of the server.
        url: Secret,
        /// The token of the application.
        token: Secret,
    },
    /// A Telegram bot.
    Telegram {
        /// The token of the bot.
        token: Secret,
        /// The chat.
        chat: Box<str>,
        /// The URL of the server, unless it is Telegram's.
        url: Option<Secret>,
    },
    /// PagerDuty's Events API, version 2.
    PagerDuty {
        /// The integration key.
        key: Secret,
        /// The URL, unless it is PagerDuty's.
        url: Option<Secret>,
    },
    /// Mail.
    Mail {
        /// Addresses.
        to: Box<[Box<str>]>,
        /// The sender's address; `None`: `schedrs@HOST`.
        from: Option<Box<str>>,
        /// Through a server; `None`: through the machine's `sendmail`.
        smtp: Option<Smtp>,
    },
    /// A command, which gets the message as JSON on standard input and in its environment.
    Command(Command),
}

/// A mail server.
#[derive(Clone, Debug, PartialEq)]
pub struct Smtp {
    /// `smtp://` or `smtps://`, with a user name if it wants one: `smtps://user@mail.example.org`.
    pub url: Box<str>,
    /// The password of that user.
    pub password: Option<Secret>,
}

/// How the notifications of a route become messages, unless it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habit {
    /// See [`Route::gather`].
    pub gather: Duration,
    /// See [`Route::pause`].
    pub pause: Duration,
    /// See [`Route::most`].
    pub most: usize,
    /// See [`Route::output`].
    pub output: usize,
}

impl Service {
    /// What suits it: people read few messages, programs each notification.
    pub fn habit(&self) -> Habit {
        let (gather, pause, most, output) = match self {
            Service::Webhook { .. } => (0, 0, 100, 4096),
            Service::PagerDuty { .. } => (0, 10, 20, 0),
            Service::Mail { .. } => (10, 60, 20, 4096),
            Service::Command(_) => (10, 60, 20, 4096),
            Service::Slack { .. }
            | Service::Discord { .. }
            | Service::Ntfy { .. }
            | Service::Gotify { .. }
            | Service::Telegram { .. } => (10, 60, 20, 600),
        };
        let (gather, pause) = (Duration::from_secs(gather), Duration::from_secs(pause));
        Habit { gather, pause, most, output }
    }

    /// The URL of its requests, unless they go where the service always is.
    pub fn url(&self) -> Option<&Secret> {
        match self {
            Service::Webhook { url, .. }
            | Service::Slack { url }
            | Service::Discord { url }
            | Service::Ntfy { url, .. }
            | Service::Gotify { url, .. } => Some(url),
            Service::Telegram { url, .. } | Service::PagerDuty { url, .. } => url.as_ref(),
            Service::Mail { .. } | Service::Command(_) => None,
        }
    }

    /// Whether each notification is a request of its own, and may be taken while another is refused.
    pub fn is_one_by_one(&self) -> bool {
        matches!(self, Service::Webhook { .. } | Service::PagerDuty { .. })
    }

    /// Whether a message says how many more there were, instead of all being told in turn.
    pub fn counts_the_rest(&self) -> bool {
        !matches!(self, Service::Webhook { .. })
    }

    /// The key of a route that names it.
    pub fn word(&self) -> &'static str {
        match self {
            Service::Webhook { .. } => "webhook",
            Service::Slack { .. } => "slack",
            Service::Discord { .. } => "discord",
            Service::Ntfy { .. } => "ntfy",
            Service::Gotify { .. } => "gotify",
            Service::Telegram { .. } => "telegram",
            Service::PagerDuty { .. } => "pagerduty",
            Service::Mail { .. } => "mail",
            Service::Command(_) => "command",
        }
    }
}
