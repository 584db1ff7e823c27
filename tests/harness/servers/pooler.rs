//! A PgBouncer before a PostgreSQL, in transaction mode: each transaction has whichever of its connections
//! to the server has not been used for longest.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;
use super::{Recipe, Server, directory, find, free_port, output_of, postgres};
use crate::harness::missing;

/// It ends with the test.
#[derive(Debug)]
pub struct Pooler {
    process: Process,
    port: u16,
    dir: TempDir,
}

impl Pooler {
    /// Starts one before this server, with so many connections to it. `None`: this machine has none, which is
    /// said.
    #[track_caller]
    pub fn before(server: &Server, connections: u32) -> Option<Pooler> {
        let Some(program) = find("pgbouncer", &["/usr/sbin".into()]) else {
            missing("pgbouncer");
            return None;
        };
        // It refuses to be root.
        let user = rustix::process::geteuid().is_root().then(postgres::unprivileged);
        let (dir, port) = (directory(), free_port());
        let (users, ini) = (dir.path().join("users"), dir.path().join("pgbouncer.ini"));
        fs::write(&users, "\"schedrs\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\n\
             min_pool_size = {connections}\nserver_round_robin = 1\nserver_reset_query =\n",
            server.port(),
            users.display()
        );
        fs::write(&ini, settings).unwrap();
        if let Some((uid, gid)) = user {
            for path in [dir.path(), &users, &ini] {
                chown(path, Some(uid), Some(gid)).unwrap();
            }
        }
        let arguments = vec![ini.display().to_string()];
        let ready = "process up: PgBouncer";
        let recipe = Recipe { program, arguments, ready, user, port, tls_port: port };
        let process = Process::start(&recipe, dir.path()).unwrap();
        Some(Pooler { process, port, dir })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// As if another of its clients had said this, in a transaction.
    pub fn other_client(&self, sql: &str) {
        let mut command = Command::new(postgres::program("psql").unwrap());
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "schedrs"]);
        command.args(["-d", "postgres", "-c", sql, "-p"]).arg(self.port.to_string());
        output_of(&mut command);
    }
}
