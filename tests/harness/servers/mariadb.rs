//! A private MariaDB, or MySQL where that is what the machine has.

use std::path::Path;
use std::process::Command;

use super::{Recipe, Setup, certificate, find, free_port, output_of, try_output_of, words};

const SETTINGS: &str = "\
--bind-address=127.0.0.1 --skip-name-resolve --skip-log-bin --performance-schema=off \
--innodb-buffer-pool-size=16M --innodb-data-file-path=ibdata1:4M:autoextend \
--innodb-log-file-size=8M --max-connections=100";

/// No waiting for disks.
const FAST: &str = "\
--innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0 --debug-no-sync";

pub(super) fn recipe(setup: &Setup, dir: &Path) -> Option<Recipe> {
    let (program, install) = (find("mariadbd", &[])?, find("mariadb-install-db", &[])?);
    let root = rustix::process::geteuid().is_root();
    let user = if root { &["--user=root"][..] } else { &[] };
    create(&install, &dir.join("data"), user);
    let data = format!("--datadir={}", dir.join("data").display());
    let start = dir.join("start.sql");
    std::fs::write(
        &start,
        "\
        CREATE DATABASE IF NOT EXISTS schedrs;\n\
        CREATE USER IF NOT EXISTS 'schedrs'@'%' IDENTIFIED BY 'secret';\n\
        GRANT ALL ON *.* TO 'schedrs'@'%';\n\
        CREATE USER IF NOT EXISTS 'nobody'@'%' IDENTIFIED BY 'secret';\n",
    )
    .unwrap();
    let port = free_port();
    let mut arguments = vec!["--no-defaults".to_owned(), data, format!("--port={port}")];
    arguments.push(format!("--socket={}", dir.join("socket").display()));
    arguments.push(format!("--init-file={}", start.display()));
    for (option, file) in [("ca", "ca.pem"), ("cert", "server.pem"), ("key", "server.key")] {
        arguments.push(format!("--ssl-{option}={}", certificate(file).display()));
    }
    arguments.extend(user.iter().map(|&option| option.to_owned()));
    arguments.extend(words(SETTINGS));
    if !setup.durable {
        arguments.extend(words(FAST));
    }
    arguments.extend(setup.options.iter().cloned());
    let ready = "ready for connections";
    Some(Recipe { program, arguments, ready, user: None, port, tls_port: port })
}

/// Makes the files of a server. MariaDB's own program for it has crashed (signal 11, 10.11 on a busy
/// machine), and what is tested is not that.
fn create(install: &Path, data: &Path, user: &[&str]) {
    let mut said = String::new();
    for _ in 0..3 {
        let _ = std::fs::remove_dir_all(data);
        let mut command = Command::new(install);
        command.arg("--no-defaults").arg(format!("--datadir={}", data.display())).args(user);
        command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        command
            .args(["--innodb-log-file-size=8M", "--innodb-data-file-path=ibdata1:4M:autoextend"]);
        match try_output_of(command.args(words(FAST))) {
            Ok(_) => return,
            Err(error) => said = error,
        }
        eprintln!("once more: {said}");
    }
    panic!("{said}")
}

pub(super) fn cli(dir: &Path, sql: &str) -> String {
    let client = find("mariadb", &[]).or_else(|| find("mysql", &[])).unwrap();
    let mut command = Command::new(client);
    command.args(["--no-defaults", "-u", "root", "-N", "-B", "-e", sql, "-S"]);
    output_of(command.arg(dir.join("socket")))
}
