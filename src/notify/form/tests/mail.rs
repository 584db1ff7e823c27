//! What a mail looks like.

use super::*;

pub(super) fn mail_of(message: &Message) -> String {
    match work_of(service("mail"), message).unwrap().remove(0).task {
        Task::Sendmail(mail) => {
            assert_eq!(&*mail.from, "schedrs@web1");
            assert_eq!(mail.to.len(), 2);
            mail.text
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mail() {
    let expected = "\
From: schedrs <schedrs@web1>
To: ops@example.org,
 root
Subject: [schedrs web1] backup failed: exit 3 (2nd time in a row)
Date: Sat, 28 Nov 2026 02:00:13 +0000
Message-ID: <failed-ID@web1>
Auto-Submitted: auto-generated
Precedence: bulk
X-Schedrs-Kind: failed
X-Schedrs-Job: backup
X-Schedrs-Outcome: failed
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit

backup failed: exit 3 (2nd time in a row), on web1

due Sat 2026-11-28 02:00:00 +00:00, run 4711, took 12.4s
failing since Fri 2026-11-27 02:00:00 +00:00

What it printed last:

    no route
    to *host* <!here>

More: schedrs why backup
";
    let text = mail_of(&message(vec![failed()], 0));
    let id = text.split("<failed-").nth(1).and_then(|rest| rest.split('@').next()).unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(text.replace(id, "ID"), expected);

    let recovered = Notification {
        since: failed().since,
        ..notification(Kind::Recovered, Some(Outcome::Succeeded))
    };
    let text = mail_of(&message(vec![recovered], 0));
    for line in [
        &*format!("In-Reply-To: <failed-{id}@web1>"),
        &*format!("References: <failed-{id}@web1>"),
        "Message-ID: <m1@web1>",
        "Subject: [schedrs web1] backup works again after 1 failure in 1d",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

#[test]
fn a_mail_of_many() {
    let named = |job: &str, output: Option<&str>| Notification {
        job: job.into(),
        output: output.map(Into::into),
        ..notification(Kind::Failed, Some(Outcome::Failed(3)))
    };
    let text = mail_of(&message(vec![named("a", Some("Ä\n")), named("b", None)], 480));
    assert!(text.contains("Subject: [schedrs web1] 2 failed, 480 more\n"), "{text}");
    assert!(text.contains("Message-ID: <m1@web1>\n"), "{text}");
    let (_, body) = text.split_once("\n\n").unwrap();
    let expected = "\
2 failed, 480 more, on web1

=E2=9C=97 a failed: exit 3
=E2=9C=97 b failed: exit 3
and 480 more: `schedrs list --failed`

a printed:

    =C3=84
";
    assert_eq!(body, expected);
}

#[test]
fn a_mail_through_a_server() {
    let server =
        Smtp { url: "smtps://ann@mail.example.org".into(), password: Some(secret("s3cret")) };
    let service = Service::Mail {
        to: ["ops@example.org".into()].into(),
        from: Some("jobs@example.org".into()),
        smtp: Some(server),
    };
    let work = work_of(service, &message(vec![failed()], 0)).unwrap().remove(0);
    let Task::Smtp(smtp) = &work.task else { panic!("{work:?}") };
    assert_eq!(
        (&*smtp.url, smtp.password.as_deref()),
        ("smtps://ann@mail.example.org", Some("s3cret"))
    );
    assert_eq!((&*smtp.mail.from, smtp.hello.as_str()), ("jobs@example.org", "web1"));
    assert!(smtp.mail.text.starts_with("From: schedrs <jobs@example.org>\n"));
    assert_eq!(work.secrets.join("|"), "s3cret");
}
