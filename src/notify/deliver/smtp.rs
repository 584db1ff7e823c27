//! Mail through a server.
//!
//! `smtps://` is TLS from the first byte; with `smtp://` it begins with STARTTLS, which the server must
//! offer unless it is this machine or the URL says `starttls=never`. A password is never sent in clear
//! but to this machine.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;

use super::{Done, Trust, judge};
use crate::core::notify::url::{Scheme, Url};
use crate::notify::line::Line;
use crate::notify::wire::{self, DeliveryResult, Smtp};

/// The part of the limit that the end of a conversation may take, when all is said.
const FAREWELL: u32 = 20;

/// How a connection is kept from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    /// TLS from the first byte.
    Tls,
    /// TLS from STARTTLS on.
    StartTls,
    /// None.
    None,
}

/// How that of a server is; the error says what is wrong with its URL.
fn cover(url: &Url) -> Result<Cover, &'static str> {
    match (url.scheme(), url.parameter("starttls")) {
        (Scheme::Smtps, _) => Ok(Cover::Tls),
        (_, Some("required")) => Ok(Cover::StartTls),
        (_, Some("never")) => Ok(Cover::None),
        (_, None) if url.is_loopback() => Ok(Cover::None),
        (_, None) => Ok(Cover::StartTls),
        (_, Some(_)) => Err("`starttls` is `required` or `never`"),
    }
}

/// Where it listens, unless the URL says.
fn port(url: &Url, cover: Cover) -> u16 {
    url.port().unwrap_or(match cover {
        Cover::Tls => 465,
        Cover::StartTls => 587,
        Cover::None => 25,
    })
}

/// Hands a mail over.
pub(super) fn send(work: &Smtp, limit: Duration, trust: &Trust) -> Done {
    try_to_send(work, limit, trust).unwrap_or_else(|done| done)
}

/// Whether a server is there, and speaks TLS where it has to. Nobody is named, and nothing is sent.
pub(super) fn reach(place: &str, limit: Duration, trust: &Trust) -> Done {
    let hello = Line::new("localhost");
    let mail = wire::Mail { from: "".into(), to: Vec::new(), text: String::new() };
    let work = Smtp { url: place.into(), password: None, hello, mail };
    let reached = || {
        let url = Url::smtp(place).map_err(|why| Done::refused(&format!("smtp: it {why}")))?;
        let cover = cover(&url).map_err(Done::refused)?;
        let mut connection = secure::connect(&url, cover, &work, limit, trust)?;
        let _ = connection.set_timeout(Some(limit / FAREWELL));
        let _ = connection.quit();
        Ok(Done::of(DeliveryResult::Sent, ""))
    };
    reached().unwrap_or_else(|done| done)
}

fn try_to_send(work: &Smtp, limit: Duration, trust: &Trust) -> Result<Done, Done> {
    let url = Url::smtp(&work.url).map_err(|why| Done::refused(&format!("smtp: it {why}")))?;
    let cover = cover(&url).map_err(Done::refused)?;
    if work.password.is_some() && cover == Cover::None && !url.is_loopback() {
        return Err(Done::refused("a password is not sent without TLS"));
    }
    let address = |text: &str| {
        let parsed = text.parse::<Address>();
        parsed.map_err(|_| Done::refused(&format!("{text} is no address")))
    };
    let from = address(&work.mail.from)?;
    let to = work.mail.to.iter().map(|to| address(to)).collect::<Result<Vec<_>, _>>()?;
    let failed = |error: Error| failed(&error, limit);

    let mut connection = secure::connect(&url, cover, work, limit, trust)?;
    if let (Some(user), Some(password)) = (url.user(), &work.password) {
        let credentials = Credentials::new(user, password.to_string());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        connection.auth(&mechanisms, &credentials).map_err(failed)?;
    }
    connection.command(Mail::new(Some(from), Vec::new())).map_err(failed)?;
    // That one of them is unknown is no reason not to tell the others.
    let mut refused = Vec::new();
    for to in &to {
        if let Err(error) = connection.command(Rcpt::new(to.clone(), Vec::new())) {
            let done = failed(error);
            if done.status.is_none() {
                return Err(done);
            }
            refused.push((to, done));
        }
    }
    if refused.len() == to.len() {
        let worst = refused.into_iter().map(|(_, done)| done).max_by_key(|done| done.result);
        return Err(worst.unwrap_or_else(|| Done::refused("it is for nobody")));
    }
    connection.command(Data).map_err(failed)?;
    let text = work.mail.text.replace('\n', "\r\n");
    let answer = connection.message(text.trim_end_matches("\r\n").as_bytes()).map_err(failed)?;
    let _ = connection.set_timeout(Some(limit / FAREWELL));
    let _ = connection.quit();
    let mut done = answered(&answer);
    for (to, why) in refused {
        done.answer = format!("but not for {to}: {}; {}", why.answer, done.answer);
    }
    Ok(done)
}

fn hello(work: &Smtp) -> ClientId {
    ClientId::Domain(work.hello.as_str().to_owned())
}

/// What a good answer is.
fn answered(answer: &Response) -> Done {
    let code = u16::from(answer.code());
    let text = answer.message().collect::<Vec<&str>>().join(" ");
    Done { status: Some(code), ..Done::of(judge::smtp(code), &text) }
}

/// Why it was not handed over.
fn failed(error: &Error, limit: Duration) -> Done {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    if let Some(code) = error.status() {
        let code = u16::from(code);
        return Done { status: Some(code), ..Done::of(judge::smtp(code), &source) };
    }
    if is_late(error) {
        return Done::too_late(limit);
    }
    if error.is_client() {
        return Done::refused(&source);
    }
    let what = if error.is_response() { "its answer is no SMTP: " } else { "" };
    Done::silence(&format!("{what}{source}"))
}

/// Whether it took too long, which the kernel calls something else.
fn is_late(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(found) = source {
        if let Some(found) = found.downcast_ref::<io::Error>() {
            return matches!(found.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        }
        source = found.source();
    }
    false
}

#[cfg(feature = "tls")]
mod secure {
    //! Connecting, with TLS.

    use std::time::Duration;

    use lettre::transport::smtp::client::{
        Certificate, CertificateStore, SmtpConnection, TlsParameters,
    };

    use super::super::roots::Roots;
    use super::{Cover, Done, Smtp, Trust, Url, failed, hello, port};

    pub(super) fn connect(
        url: &Url,
        cover: Cover,
        work: &Smtp,
        limit: Duration,
        trust: &Trust,
    ) -> Result<SmtpConnection, Done> {
        let tls = match cover {
            Cover::None => None,
            Cover::Tls | Cover::StartTls => Some(parameters(url, trust)?),
        };
        let first = tls.as_ref().filter(|_| cover == Cover::Tls);
        let place = (url.host(), port(url, cover));
        let hello = hello(work);
        let failed = |error| failed(&error, limit);
        let mut connection =
            SmtpConnection::connect(place, Some(limit), &hello, first, None).map_err(failed)?;
        if let (Cover::StartTls, Some(tls)) = (cover, &tls) {
            if !connection.can_starttls() {
                connection.abort();
                return Err(Done::refused("it does not offer STARTTLS"));
            }
            connection.starttls(tls, &hello).map_err(failed)?;
        }
        Ok(connection)
    }

    fn parameters(url: &Url, trust: &Trust) -> Result<TlsParameters, Done> {
        let builder = TlsParameters::builder(url.host().to_owned());
        let builder = match &trust.roots {
            Ok(Roots::BuiltIn) => builder.certificate_store(CertificateStore::WebpkiRoots),
            Ok(Roots::These(all)) => {
                let builder = builder.certificate_store(CertificateStore::None);
                // One that cannot be read is one that nobody is trusted by.
                let all = all.iter().filter_map(|one| Certificate::from_der(one.to_vec()).ok());
                all.fold(builder, |builder, one| builder.add_root_certificate(one))
            }
            Err(why) => return Err(Done::again(why)),
        };
        builder.build().map_err(|error| Done::again(&error.to_string()))
    }
}

#[cfg(not(feature = "tls"))]
mod secure {
    //! Connecting, where there is no TLS.

    use std::time::Duration;

    use lettre::transport::smtp::client::SmtpConnection;

    use super::{Cover, Done, Smtp, Trust, Url, failed, hello, port};

    pub(super) fn connect(
        url: &Url,
        cover: Cover,
        work: &Smtp,
        limit: Duration,
        _: &Trust,
    ) -> Result<SmtpConnection, Done> {
        if cover != Cover::None {
            return Err(Done::refused(
                "this schedrs is built without the feature `tls`, which this mail server needs",
            ));
        }
        let place = (url.host(), port(url, cover));
        SmtpConnection::connect(place, Some(limit), &hello(work), None, None)
            .map_err(|error| failed(&error, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_a_connection() {
        let rows = [
            ("smtps://mail.example.org", Ok((Cover::Tls, 465))),
            ("smtp://mail.example.org", Ok((Cover::StartTls, 587))),
            ("smtp://mail.example.org:25", Ok((Cover::StartTls, 25))),
            ("smtp://mail.example.org?starttls=never", Ok((Cover::None, 25))),
            ("smtp://localhost", Ok((Cover::None, 25))),
            ("smtp://127.0.0.1:2525", Ok((Cover::None, 2525))),
            ("smtp://localhost?starttls=required", Ok((Cover::StartTls, 587))),
            ("smtp://mail?starttls=maybe", Err("`starttls` is `required` or `never`")),
        ];
        for (text, expected) in rows {
            let url = Url::smtp(text).unwrap();
            let found = cover(&url).map(|cover| (cover, port(&url, cover)));
            assert_eq!(found, expected, "{text}");
        }
    }
}
