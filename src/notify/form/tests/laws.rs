//! What holds whatever jobs are called and print.

use proptest::prelude::*;

use super::*;

/// Texts that somebody might hope to get through with.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\0",
        "\u{1b}[31m",
        "\u{202e}",
        "@everyone",
        "<!channel>",
        "<@U1>",
        "```",
        "&",
        "\"",
        "\\",
        "=?utf-8?q?x?=",
        "Bcc: eve@example.org",
        "ä",
        "🦀",
        "{job}",
        "x",
        " ",
        "\u{2028}",
        "'",
        "*",
        "_",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..60).prop_map(|all| all.concat()),
        any::<String>(),
        "[a\"🦀]{0,3000}",
    ]
}

fn any_notification() -> impl Strategy<Value = Notification> {
    let kinds = prop::sample::select(&Kind::ALL[..]);
    let outcomes = prop::sample::select(crate::core::outcome::each());
    let texts = (hostile(), hostile(), hostile(), hostile());
    (kinds, prop::option::of(outcomes), texts, any::<u64>(), any::<bool>()).prop_map(
        |(kind, outcome, (job, name, reason, output), count, since)| Notification {
            job: crate::notify::line::within(&job, 255).into(),
            name: Some(name.into()),
            outcome: outcome.map(|outcome| match outcome {
                Outcome::NotStarted(_) => Outcome::NotStarted(reason),
                Outcome::Lost(_) => Outcome::Lost(reason),
                other => other,
            }),
            output: Some(output.into()),
            streak: count as u32,
            attempts: count as u32,
            count,
            since: since.then_some(Instant::from_micros(count as i64)),
            ..notification(kind, None)
        },
    )
}

/// What must hold of each piece of work, whatever jobs are called and print.
fn check(work: &Work) -> Result<(), TestCaseError> {
    let line = work.to_line();
    prop_assert!(line.matches('\n').count() == 1 && line.len() < crate::notify::wire::LONGEST_WORK);
    prop_assert_eq!(&serde_json::from_str::<Work>(&line).unwrap(), work);
    match &work.task {
        Task::Http(request) => {
            for (name, value) in &request.headers {
                let value = value.as_str();
                prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name}");
            }
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            prop_assert!(!request.body.contains(char::is_control));
            match &*work.service {
                "slack" => {
                    let text = text("text");
                    prop_assert!(!text.is_empty() && text.encode_utf16().count() < 4000);
                    prop_assert!(!text.contains(['<', '>']) && !text.contains("@everyone"));
                    prop_assert!(text.matches("```").count() % 2 == 0, "{}", text);
                }
                "discord" => {
                    let text = text("content");
                    prop_assert!(!text.is_empty() && text.encode_utf16().count() <= 2000);
                    prop_assert!(!text.contains("@everyone"), "{}", text);
                }
                "telegram" => {
                    let text = text("text");
                    prop_assert!(!text.is_empty() && text.encode_utf16().count() <= 4096);
                }
                "ntfy" => {
                    prop_assert!(!text("message").is_empty() && text("message").len() <= 4096);
                    prop_assert!(request.body.len() <= 8192, "{}", request.body.len());
                }
                "pagerduty" => {
                    let summary = body["payload"]["summary"].as_str().unwrap();
                    prop_assert!(summary.chars().count() <= 1024);
                    prop_assert!(text("dedup_key").len() <= 255 && request.body.len() < 512_000);
                }
                "webhook" => prop_assert!(request.body.len() < 20_000, "{}", request.body.len()),
                _ => {}
            }
        }
        Task::Sendmail(mail) => {
            prop_assert!(mail.text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
            prop_assert!(mail.text.lines().all(|line| line.len() <= 998));
            let (headers, _) = mail.text.split_once("\n\n").unwrap();
            let known = [
                "From: ",
                "To: ",
                "Subject: ",
                "Date: ",
                "Message-ID: ",
                "In-Reply-To: ",
                "References: ",
                "Auto-Submitted: ",
                "Precedence: ",
                "X-Schedrs-",
                "MIME-Version: ",
                "Content-T",
                " =?UTF-8?B?",
                " root",
            ];
            for line in headers.lines() {
                prop_assert!(known.iter().any(|known| line.starts_with(known)), "{}", line);
            }
        }
        Task::Command(command) => {
            prop_assert!(serde_json::from_str::<Value>(&command.stdin).is_ok());
            for (name, value) in &command.env {
                prop_assert!(name.starts_with("SCHEDRS_"));
                prop_assert!(!value.as_str().contains(['\0', '\n', '\r']));
            }
        }
        Task::Smtp(_) | Task::Reach(_) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_jobs_are_called_and_print(
        all in prop::collection::vec(any_notification(), 1..25),
        more in prop_oneof![Just(0), Just(480), any::<u64>()],
    ) {
        let message = message(all, more);
        for word in SERVICES {
            let work = work_of(service(word), &message).unwrap();
            prop_assert!(!work.is_empty());
            for work in &work {
                check(work)?;
            }
        }
    }
}
