//! A private PostgreSQL.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Recipe, Setup, certificate, find, free_port, output_of};

/// Who may connect: `locked` with a password, all others without; also from a host of `super::network`.
const HBA: &str = "\
local all all trust
local replication all trust
host all locked 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host all locked ::1/128 scram-sha-256
host all all ::1/128 trust
host all all 198.18.0.0/15 trust
host replication all 127.0.0.1/32 trust
";

pub(super) fn recipe(setup: &Setup, dir: &Path) -> Option<Recipe> {
    let (initdb, postgres) = (program("initdb")?, program("postgres")?);
    // It refuses to be root.
    let user = rustix::process::geteuid().is_root().then(unprivileged);
    let data = dir.join("data");
    if let Some((uid, gid)) = user {
        chown(dir, Some(uid), Some(gid)).unwrap();
    }
    match setup.follows {
        None => create(&initdb, &data, user),
        Some(primary) => copy(primary, &data, user),
    }
    fs::write(data.join("pg_hba.conf"), HBA).unwrap();
    let key = data.join("server.key");
    fs::copy(certificate("server.key"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::copy(certificate("server.pem"), data.join("server.crt")).unwrap();
    if let Some((uid, gid)) = user {
        for file in ["pg_hba.conf", "server.key", "server.crt"] {
            chown(data.join(file), Some(uid), Some(gid)).unwrap();
        }
    }
    let port = free_port();
    let (data, at) = (data.display(), dir.display());
    let mut arguments = vec![format!("--data_directory={data}"), format!("--port={port}")];
    arguments.extend(["-D".to_owned(), data.to_string()]);
    arguments.push(format!("--unix_socket_directories={at}"));
    let listen = "--listen_addresses=localhost";
    let small = ["--shared_buffers=16MB", "--ssl=on", "--max_prepared_transactions=4"];
    arguments.extend([listen].into_iter().chain(small).map(str::to_owned));
    if !setup.durable {
        let fast = ["--fsync=off", "--synchronous_commit=off", "--full_page_writes=off"];
        arguments.extend(fast.map(str::to_owned));
    }
    arguments.extend(setup.options.iter().cloned());
    let ready = "database system is ready to accept";
    Some(Recipe { program: postgres, arguments, ready, user, port, tls_port: port })
}

fn create(initdb: &Path, data: &Path, user: Option<(u32, u32)>) {
    let mut command = as_user(initdb, user);
    command.arg("-D").arg(data).args(["--no-sync", "--no-instructions", "-A", "trust"]);
    command.args(["-U", "schedrs", "--locale=C", "-E", "UTF8"]);
    output_of(&mut command);
}

/// A standby: a copy of another server's data, which it follows.
fn copy(primary: u16, data: &Path, user: Option<(u32, u32)>) {
    let mut command = as_user(&program("pg_basebackup").unwrap(), user);
    command.arg("-D").arg(data).args(["-h", "127.0.0.1", "-U", "schedrs", "-p"]);
    command.arg(primary.to_string()).args(["-R", "--no-sync", "--checkpoint=fast"]);
    output_of(&mut command);
}

pub(super) fn cli(recipe: &Recipe, dir: &Path, sql: &str) -> String {
    let mut command = Command::new(program("psql").unwrap());
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "schedrs"]);
    command.args(["-d", "postgres", "-c", sql, "-p"]).arg(recipe.port.to_string());
    output_of(command.arg("-h").arg(dir))
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// One of its programs, of the newest version that is installed.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    let beside: Vec<PathBuf> = versions.iter().map(|version| version.join("bin")).collect();
    find(name, &beside)
}

/// The user and group of `postgres`, or else of `nobody`.
pub(super) fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let mut fields = users.lines().find_map(|line| line.strip_prefix(name))?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres:").or_else(|| of("nobody:")).unwrap_or((65_534, 65_534))
}
