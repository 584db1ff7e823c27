//! A private Redis (or Valkey), a replica of one, and a Sentinel that watches one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Recipe, Setup, certificate, find, free_port, output_of, words};

pub(super) fn recipe(setup: &Setup, dir: &Path) -> Option<Recipe> {
    let program = find("redis-server", &[]).or_else(|| find("valkey-server", &[]))?;
    if let Some(primary) = setup.watches {
        return Some(sentinel(program, primary, dir));
    }
    let (port, tls_port) = (free_port(), free_port());
    let mut arguments = words("--bind 127.0.0.1 --databases 10000 --tls-auth-clients no");
    arguments.extend(words(&format!("--port {port} --tls-port {tls_port}")));
    for (option, file) in
        [("ca-cert-file", "ca.pem"), ("cert-file", "server.pem"), ("key-file", "server.key")]
    {
        arguments.push(format!("--tls-{option}"));
        arguments.push(certificate(file).display().to_string());
    }
    arguments.extend(["--dir".to_owned(), dir.display().to_string()]);
    let keeps = if setup.durable {
        "--appendonly yes --appendfsync always"
    } else {
        "--appendonly no --repl-diskless-sync-delay 0"
    };
    arguments.extend(words(keeps));
    arguments.extend(["--save".to_owned(), String::new()]);
    if let Some(primary) = setup.follows {
        arguments.extend(words(&format!("--replicaof 127.0.0.1 {primary}")));
    }
    arguments.extend(setup.options.iter().cloned());
    let ready = "Ready to accept connections";
    Some(Recipe { program, arguments, ready, user: None, port, tls_port })
}

fn sentinel(program: PathBuf, primary: u16, dir: &Path) -> Recipe {
    let port = free_port();
    let file = dir.join("sentinel.conf");
    let text = format!(
        "port {port}\ndir {}\nsentinel monitor main 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n",
        dir.display()
    );
    fs::write(&file, text).unwrap();
    let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
    Recipe { program, arguments, ready: "+monitor", user: None, port, tls_port: 0 }
}

pub(super) fn cli(recipe: &Recipe, text: &str) -> String {
    let client = find("redis-cli", &[]).or_else(|| find("valkey-cli", &[])).unwrap();
    let mut command = Command::new(client);
    output_of(command.arg("-p").arg(recipe.port.to_string()).args(words(text)))
}
