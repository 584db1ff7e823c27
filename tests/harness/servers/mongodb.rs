//! A stand-in for MongoDB: nx-27017 (PyPI), which keeps its documents in SQLite. It knows nothing
//! of elections, write concern and rollback. `SCHEDRS_TEST_MONGODB=mongodb://…` names a real one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::{LIMIT, Recipe, Setup, certificate, find, free_port};

pub(super) fn recipe(setup: &Setup, dir: &Path) -> Option<Recipe> {
    // Where `.ci/run` installs it.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(here.join("target"), PathBuf::from);
    let program = find("nx-27017", &[target.join("venv/bin")])?;
    let port = free_port();
    let file = |name: &str| dir.join(name).display().to_string();
    let mut arguments = vec!["-p".to_owned(), port.to_string()];
    arguments.extend(["--data-dir".to_owned(), file("data")]);
    arguments.extend(["--log-file".to_owned(), file("log")]);
    arguments.extend(["--pid-file".to_owned(), file("pid")]);
    std::fs::create_dir(dir.join("data")).unwrap();
    if !setup.durable {
        arguments.extend(["-j".to_owned(), "MEMORY".to_owned()]);
    }
    arguments.extend(setup.options.iter().cloned());
    Some(Recipe { program, arguments, ready: "Listening on", user: None, port, tls_port: 0 })
}

/// Takes TLS and gives on what is in it. Its arguments: where to listen, whereto, certificate, key.
const TLS: &str = r#"
import asyncio, ssl, sys
port, to, certificate, key = sys.argv[1:]
async def copy(source, sink):
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()
async def serve(source, sink):
    inner = await asyncio.open_connection('127.0.0.1', int(to))
    await asyncio.gather(copy(source, inner[1]), copy(inner[0], sink))
async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(serve, '127.0.0.1', int(port), ssl=context)
    print('Listening', flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

pub(super) fn tls_recipe(to: u16) -> Option<Recipe> {
    let (program, port) = (find("python3", &[])?, free_port());
    let mut arguments = vec!["-c".to_owned(), TLS.to_owned(), port.to_string(), to.to_string()];
    arguments
        .extend(["server.pem", "server.key"].map(|name| certificate(name).display().to_string()));
    Some(Recipe { program, arguments, ready: "Listening", user: None, port, tls_port: port })
}

/// There is no client to be had. The command is `hello`, whatever the text; the answer is the
/// document as it came, in which the names of its fields can be read.
pub(super) fn cli(recipe: &Recipe, _text: &str) -> String {
    let mut document = b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0".to_vec();
    document.splice(0..0, (document.len() as u32 + 4).to_le_bytes());
    // OP_MSG: its length, number, what it answers, its kind; flags; a section of kind 0.
    let mut message = (16 + 4 + 1 + document.len() as u32).to_le_bytes().to_vec();
    for number in [1, 0, 2013, 0_u32] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(document);
    let mut stream = TcpStream::connect(("127.0.0.1", recipe.port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(&message).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; (u32::from_le_bytes(length) as usize - 4).min(1 << 16)];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
