//! `schedrs doctor --network`, and authorities that only some know.

use std::sync::{Arc, Mutex};

use crate::deliver::receiver::{self, Receiver, answer, certificate, request};
use crate::harness::Bench;

/// What it says of secrets and of the network, and its exit code.
fn doctor(bench: &Bench, more: &[&str]) -> (Vec<String>, Option<i32>) {
    let arguments = [&["doctor", "--network"], more].concat();
    let (said, _, code) = bench.ask(&arguments);
    let about = |line: &&str| line.contains("  network: ") || line.contains("secrets: ");
    // Times differ.
    let line = |line: &str| match line.split_once(" within ") {
        Some((begin, end)) => {
            format!("{begin} within{}", end.trim_start_matches(|c: char| c != ' '))
        }
        None => line.to_owned(),
    };
    (said.lines().filter(about).map(line).collect(), code)
}

#[test]
fn the_doctor_looks_at_the_way_and_tells_nobody() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let well = Receiver::new(move |mut stream| {
        let text = request(&mut stream);
        kept.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
        answer(&mut stream, "405 Method Not Allowed", "");
    });
    let nobody = receiver::nobody();
    let nobody = nobody.trim_end_matches('/');
    let bench = Bench::new(&format!(
        "[scheduler]\nping = {{ healthchecks = '{well}/beat' }}\n\
         [notify.ops]\nslack = '{nobody}/s3cret'\n\
         [notify.hook]\nwebhook = {{ file = '/does/not/exist' }}\n\
         [notify.mail]\nmail = 'ops@example.org'\nsmtp = 'smtp://{port}'\n\
         [defaults]\nping = '{well}/{{slug}}'\n\
         [jobs.a]\ncommand = 'true'\ninterval = '1h'\nnotify = ['ops']\n\
         [jobs.b]\ncommand = 'true'\ninterval = '1h'\nping = {{ file = 'ping' }}\n\
         [jobs.c]\ncommand = 'true'\ninterval = '1h'\nping = {{ env = 'NO_SUCH_PING' }}\n",
        well = well.url(""),
        port = nobody.trim_start_matches("http://"),
    ));
    bench.write("ping", &well.url("/b"));
    let (said, code) = doctor(&bench, &[]);
    let refused = "Connection refused (os error 111)";
    let expected = [
        "problem  secrets: route hook: url: the file /does/not/exist cannot be read: No such file or \
         directory (os error 2)"
            .to_owned(),
        "problem  c: secrets: ping: the variable NO_SUCH_PING is not set".to_owned(),
        format!("problem  network: {nobody}: {refused} (route ops)"),
        format!(
            "ok       network: {} answers within ([scheduler] ping, ping of a, ping of b)",
            well.url("")
        ),
        format!("problem  network: {}: {refused} (route mail)", nobody.replace("http", "smtp")),
    ];
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!((sorted(said), code), (sorted(expected.into()), Some(1)));
    // It is asked once, and of nothing that it is for.
    assert_eq!(*seen.lock().unwrap(), ["HEAD / HTTP/1.1"]);
    let (said, code) = doctor(&bench, &["b"]);
    let expected = format!("ok       network: {} answers within (ping of b)", well.url(""));
    assert_eq!((said, code), (vec![expected], Some(0)));
    // Without being asked to, it looks at nothing of that.
    let (said, _, _) = bench.ask(&["doctor"]);
    assert!(!said.contains("network") && !said.contains("secrets:"), "{said}");
}

#[cfg(feature = "tls")]
#[test]
fn an_authority_of_ones_own() {
    let secure = Receiver::new(|stream| {
        // A client that does not trust us says so and goes.
        let Some(mut stream) = receiver::tls(stream) else { return };
        if receiver::try_request(&mut stream).is_some() {
            answer(&mut stream, "200 OK", "ok");
        }
    });
    let place = secure.url("").replace("http://127.0.0.1", "https://localhost");
    let (ca, none) = (certificate("ca.pem"), certificate("server.key"));
    let file = |more: &str| {
        format!(
            "[notify.hook]\nwebhook = '{place}/x'\n{more}\n[jobs.a]\ncommand = 'true'\n\
             interval = '1h'\nping = {{ healthchecks = '{place}/y', {more} }}\n"
        )
    };
    let named = |path: &std::path::Path| file(&format!("ca_file = '{}'", path.display()));
    let rows = [
        (file(""), "invalid peer certificate", Some(1)),
        (named(&ca), "sent", Some(0)),
        (named(&none), "holds no certificate in PEM", Some(1)),
        (named("/does/not/exist".as_ref()), "ca_file: the file /does/not/exist cannot", Some(1)),
    ];
    for (text, words, code) in rows {
        let text = text.replace(",  }", " }");
        let bench = Bench::new(&text);
        for name in ["hook", "a"] {
            let done = bench
                .command(&["notify", "--test", name])
                .env_remove("SSL_CERT_FILE")
                .env_remove("SSL_CERT_DIR")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            assert!(said.contains(words) && done.status.code() == code, "{words}: {said}");
        }
        let said = doctor(&bench, &[]).0;
        let answers = format!("{place} answers within (route hook, ping of a)");
        assert_eq!(said.iter().any(|line| line.contains(&answers)), code == Some(0), "{said:?}");
    }
}
