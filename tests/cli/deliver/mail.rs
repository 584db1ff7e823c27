//! Mail servers: one that takes mail, and one that says no or nothing at each of its steps.
#![cfg(feature = "mail")]

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::channel;

use schedrs::notify::Transport;
use schedrs::notify::line::Line;
use schedrs::notify::wire::{DeliveryResult, Mail, Smtp, Task, Work};

use super::receiver::{self, Receiver};
use super::{LATE, SOON, deliver, one};
use crate::harness::WATCHDOG;

/// What a server does that is not as it should be.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// Answers this to what begins so.
    instead: Option<(&'static str, &'static str)>,
    /// Says nothing more after what begins so.
    hangs_at: Option<&'static str>,
    /// Offers STARTTLS, and has it.
    starttls: bool,
}

/// A conversation; what was heard. `Err`: the client wants TLS.
fn converse(
    stream: &mut (impl Read + Write),
    manner: Manner,
    is_secure: bool,
    heard: &mut Vec<String>,
) -> Result<(), ()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let say = |reader: &mut BufReader<_>, line: &str| {
        let stream: &mut _ = reader.get_mut();
        let _ = Write::write_all(stream, format!("{line}\r\n").as_bytes());
        let _ = Write::flush(stream);
    };
    let mut at = "greeting".to_owned();
    loop {
        let begins = |what: &str| at.starts_with(what);
        if manner.hangs_at.is_some_and(begins) {
            let _ = reader.read_to_end(&mut Vec::new());
            return Ok(());
        }
        let offers = if manner.starttls && !is_secure { "250-STARTTLS\r\n" } else { "" };
        let said = match manner.instead.filter(|(what, _)| begins(what)) {
            Some((_, said)) => said.to_owned(),
            None if at == "greeting" => "220 fake".to_owned(),
            None if begins("EHLO") => format!("250-fake\r\n{offers}250 AUTH PLAIN LOGIN"),
            None if begins("STARTTLS") => "220 go".to_owned(),
            None if begins("AUTH") => "235 welcome".to_owned(),
            None if begins("DATA") => "354 go".to_owned(),
            None if begins("QUIT") => "221 bye".to_owned(),
            None => "250 fine".to_owned(),
        };
        if at != "greeting" || !is_secure {
            say(&mut reader, &said);
        }
        if begins("STARTTLS") && said.starts_with("220") {
            return Err(());
        }
        let in_data = begins("DATA") && said.starts_with("354");
        at = match read(&mut reader, in_data) {
            Some(line) => line,
            None => return Ok(()),
        };
        heard.push(at.clone());
        if in_data {
            at = format!("mail {at}");
        }
    }
}

/// A command, or a mail up to its dot.
fn read(reader: &mut impl BufRead, is_mail: bool) -> Option<String> {
    let mut text = String::new();
    loop {
        let before = text.len();
        if reader.read_line(&mut text).ok()? == 0 {
            return None;
        }
        match &text[before..] {
            ".\r\n" => return Some(text[..before].to_owned()),
            _ if !is_mail => return Some(text.trim_end().to_owned()),
            _ => {}
        }
    }
}

/// A server; whatever is said to it in a conversation comes out of the channel.
fn server(manner: Manner) -> (Receiver, std::sync::mpsc::Receiver<Vec<String>>) {
    let (send, receive) = channel();
    let send = std::sync::Mutex::new(send);
    let receiver = Receiver::new(move |mut stream| {
        let mut heard = Vec::new();
        let plain = converse(&mut stream, manner, false, &mut heard);
        #[cfg(feature = "tls")]
        if plain.is_err()
            && let Some(mut stream) = receiver::tls(stream)
        {
            heard.push("(TLS)".to_owned());
            let _ = converse(&mut stream, manner, true, &mut heard);
        }
        #[cfg(not(feature = "tls"))]
        let _ = plain;
        let _ = send.lock().unwrap().send(heard);
    });
    (receiver, receive)
}

fn mail(url: &str, password: Option<&str>) -> Work {
    let mail = Mail {
        from: "schedrs@example.org".into(),
        to: vec!["ann@example.org".into(), "ops@example.org".into()],
        text: "Subject: x\n\n.\n..two\nend\n".to_owned(),
    };
    let hello = Line::new("web1");
    let smtp = Smtp { url: url.into(), password: password.map(Into::into), hello, mail };
    let secrets = password.iter().map(|password| (*password).into()).collect();
    Work {
        id: "1".into(),
        service: "mail".into(),
        task: Task::Smtp(smtp),
        secrets,
        transport: Transport::default(),
    }
}

fn url(receiver: &Receiver, end: &str) -> String {
    format!("smtp://127.0.0.1:{}{end}", receiver.port())
}

#[test]
fn a_mail_is_handed_over() {
    let (receiver, heard) = server(Manner::default());
    let found = one(mail(&url(&receiver, ""), None), &[]);
    assert_eq!(
        (found.result, found.status, &*found.answer),
        (DeliveryResult::Sent, Some(250), "fine")
    );
    let expected = [
        "EHLO web1",
        "MAIL FROM:<schedrs@example.org>",
        "RCPT TO:<ann@example.org>",
        "RCPT TO:<ops@example.org>",
        "DATA",
        "Subject: x\r\n\r\n..\r\n...two\r\nend\r\n",
        "QUIT",
    ];
    assert_eq!(heard.recv_timeout(WATCHDOG).unwrap(), expected);
}

#[test]
fn servers_that_do_not_take_it() {
    let instead = |what, said| Manner { instead: Some((what, said)), ..Manner::default() };
    let hangs = |at| Manner { hangs_at: Some(at), ..Manner::default() };
    // (manner, fate, code, what is said)
    let rows = [
        (instead("greeting", "554 not today"), DeliveryResult::Refused, Some(554), "not today"),
        (instead("greeting", "421 too many"), DeliveryResult::Again, Some(421), "too many"),
        (instead("greeting", "hello"), DeliveryResult::Again, None, "its answer is no SMTP"),
        (instead("EHLO", "502 what?"), DeliveryResult::Refused, Some(502), "what?"),
        (instead("MAIL", "451 later"), DeliveryResult::Again, Some(451), "later"),
        (instead("MAIL", "553 not you"), DeliveryResult::Refused, Some(553), "not you"),
        (instead("RCPT", "550 no such user"), DeliveryResult::Refused, Some(550), "no such user"),
        (instead("RCPT", "450 grey"), DeliveryResult::Again, Some(450), "grey"),
        (
            instead("RCPT TO:<ann", "550 no such user"),
            DeliveryResult::Sent,
            Some(250),
            "but not for ann@example.org: no such user; fine",
        ),
        (instead("DATA", "452 full"), DeliveryResult::Again, Some(452), "full"),
        (instead("mail", "554 spam"), DeliveryResult::Refused, Some(554), "spam"),
        (hangs("greeting"), DeliveryResult::Again, None, LATE),
        (hangs("EHLO"), DeliveryResult::Again, None, LATE),
        (hangs("DATA"), DeliveryResult::Again, None, LATE),
        (hangs("mail"), DeliveryResult::Again, None, LATE),
        (hangs("QUIT"), DeliveryResult::Sent, Some(250), "fine"),
    ];
    let servers = rows.map(|(manner, ..)| server(manner));
    let numbered = |(number, (receiver, _)): (usize, &(Receiver, _))| Work {
        id: format!("{number:02}").into(),
        ..mail(&url(receiver, ""), None)
    };
    let all: Vec<Work> = servers.iter().enumerate().map(numbered).collect();
    let found = deliver(&all, &[SOON]);
    for ((_, fate, status, said), found) in rows.into_iter().zip(found) {
        assert_eq!((found.result, found.status), (fate, status), "{found:?}");
        assert!(found.answer.starts_with(said), "{found:?}");
    }
}

/// Each of its lines comes in time, and it never ends.
#[test]
fn a_server_that_goes_on_and_on() {
    let receiver = Receiver::new(|mut stream| {
        while stream.write_all(b"220-wait\r\n").is_ok() {
            crate::harness::give_way();
        }
    });
    let found = one(mail(&url(&receiver, ""), None), &[SOON]);
    assert_eq!((found.result, &*found.answer), (DeliveryResult::Again, LATE));
}

#[test]
fn nothing_is_sent_in_clear_by_accident() {
    let (receiver, heard) = server(Manner::default());
    let secret = Some("s3cret");
    let never = "a password is not sent without TLS";
    let found = one(mail("smtp://ann@192.0.2.1?starttls=never", secret), &[]);
    assert_eq!((found.result, &*found.answer), (DeliveryResult::Refused, never));
    let required = url(&receiver, "?starttls=required").replace("127.0.0.1", "ann@localhost");
    let found = one(mail(&required, secret), &[]);
    assert_eq!(found.result, DeliveryResult::Refused, "{found:?}");
    if cfg!(feature = "tls") {
        assert_eq!(&*found.answer, "it does not offer STARTTLS");
        let heard = heard.recv_timeout(WATCHDOG).unwrap();
        assert_eq!(heard, ["EHLO web1", "QUIT"]);
    } else {
        assert!(found.answer.contains("`tls`"), "{found:?}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_password_comes_after_tls() {
    let (receiver, heard) = server(Manner { starttls: true, ..Manner::default() });
    let place = url(&receiver, "?starttls=required").replace("127.0.0.1", "ann@localhost");
    let found = one(mail(&place, Some("s3cret")), &[]);
    assert_eq!(found.result, DeliveryResult::Sent, "{found:?}");
    let heard = heard.recv_timeout(WATCHDOG).unwrap();
    let expected = ["EHLO web1", "STARTTLS", "(TLS)", "EHLO web1", "AUTH PLAIN AGFubgBzM2NyZXQ="];
    assert_eq!(heard[..5], expected);

    let refusing =
        Manner { instead: Some(("AUTH", "535 not s3cret")), starttls: true, hangs_at: None };
    let (receiver, _heard) = server(refusing);
    let place = url(&receiver, "?starttls=required").replace("127.0.0.1", "ann@localhost");
    let found = one(mail(&place, Some("s3cret")), &[]);
    assert_eq!((found.result, found.status), (DeliveryResult::Refused, Some(535)));
    assert_eq!(found.answer, "not ***");

    // By a name that is not the certificate's.
    let (receiver, _heard) = server(Manner { starttls: true, ..Manner::default() });
    let found = one(mail(&url(&receiver, "?starttls=required"), None), &[]);
    assert!(
        found.result == DeliveryResult::Again && found.answer.contains("certificate"),
        "{found:?}"
    );
}
