//! A real Prometheus scrapes `schedrs web`, set up as doc/metrics.md says, with the rules of the examples.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Answer, Web};
use crate::harness::{Bench, Running, Stream, until};
use crate::metrics::from_prometheus;

const TOKEN: &str = "a-token-for-the-scraper";

/// The values of what a query finds, each with one of its labels; nothing before it is ready.
fn ask(address: &str, query: &str, label: &str) -> Vec<(String, f64)> {
    use std::io::Write;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let answer = Answer::read(&mut stream);
    if answer.status == 503 {
        return Vec::new();
    }
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let found = body["data"]["result"].as_array().unwrap().iter().map(|sample| {
        let name = sample["metric"][label].as_str().unwrap_or_default().to_owned();
        (name, sample["value"][1].as_str().unwrap().parse().unwrap())
    });
    found.collect()
}

#[test]
fn a_prometheus_has_the_series_of_every_job() {
    let Some(prometheus) = from_prometheus("prometheus") else { return };
    let bench = Bench::new(&format!(
        "[web]\ntoken = '{TOKEN}'\n\
         [jobs.bad]\ncommand = 'exit 3'\ninterval = '1d'\n\
         [jobs.good]\ncommand = 'true'\ninterval = '1d'\n"
    ));
    let running = bench.listening();
    for (job, code) in [("bad", 3), ("bad", 3), ("good", 0)] {
        assert_eq!(bench.ask(&["start", job, "--wait"]).2, Some(code));
    }
    let web = Web::start(&bench);
    bench.write("token", TOKEN);
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prometheus-rules.yml");
    bench.write(
        "prometheus.yml",
        &format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - job_name: schedrs\n\
             \x20 authorization: {{ credentials_file: token }}\n\
             \x20 static_configs: [{{ targets: ['{}'] }}]\n",
            rules.display(),
            web.address
        ),
    );
    let mut command = Command::new(prometheus);
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=prometheus"]);
    command.arg("--web.listen-address=127.0.0.1:0").current_dir(bench.path(""));
    let mut scraper = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let line = scraper.line(Stream::Err, &["msg=\"Listening on\""]);
    let address = line.rsplit("address=").next().unwrap().trim().to_owned();

    until("it was scraped", || ask(&address, "up", "job") == [("schedrs".to_owned(), 1.0)]);
    let of_jobs = |query| {
        let mut found = ask(&address, query, "job_name");
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    };
    let each = |bad, good| vec![("bad".to_owned(), bad), ("good".to_owned(), good)];
    assert_eq!(of_jobs("schedrs_job_consecutive_failures"), each(2.0, 0.0));
    // There from the first time on, so that an increase is seen.
    assert_eq!(of_jobs("schedrs_job_runs_total%7Boutcome=%22failed%22%7D"), each(2.0, 0.0));
    assert!(of_jobs("schedrs_job_last_success_timestamp_seconds")[1].1 > 1e9);
    assert_eq!(ask(&address, "schedrs_build_info", "version").len(), 1);
    // Nothing of it is called as a label of Prometheus' own is.
    assert!(ask(&address, "%7Bexported_job!=%22%22%7D", "job").is_empty());
    // A rule of the examples finds what is wrong, and only that.
    let failing = "ALERTS%7Balertname=%22SchedrsJobFailing%22%7D";
    until("it is an alert", || of_jobs(failing) == [("bad".to_owned(), 1.0)]);
    scraper.stop();
    running.stop();
}
