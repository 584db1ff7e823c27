//! A host of its own network: a namespace of the kernel behind another one that forwards, so that what is
//! lost on the way is lost by the kernel. As root, with `ip` (iproute2).

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::proxy::Way;
use crate::harness::{has_root, missing, skipped};

/// This machine, one that forwards, and a host behind it. Gone when dropped.
#[derive(Debug)]
pub struct Network {
    forwards: String,
    host: String,
    /// All addresses are the next after this one.
    first: u32,
}

/// For tests of networks (RFC 2544): no machine has an address of these for something else.
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// So many each network has, and so many networks there can be: those of two processes are others.
const EACH: u32 = 8;
const NETWORKS: u32 = (1 << 17) / EACH;

/// So many networks a process has at once.
const OF_PROCESS: u32 = 4;

impl Network {
    /// `None`: that takes root, and a kernel with network namespaces.
    pub fn new() -> Option<Network> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (pid, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed) % OF_PROCESS);
        let name =
            |end: char| format!("schedrs{pid}{}{end}", ["a", "b", "c", "d"][number as usize]);
        let first =
            u32::from(ADDRESSES) + (pid.wrapping_mul(OF_PROCESS) + number) % NETWORKS * EACH;
        let network = Network { forwards: name('f'), host: name('h'), first };
        if !has_root() {
            return None;
        }
        if ip("-V").is_none() {
            missing("ip (Debian: iproute2)");
            return None;
        }
        clear();
        if !network.make() {
            skipped("network namespaces");
            return None;
        }
        Some(network)
    }

    fn at(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first + number)
    }

    fn make(&self) -> bool {
        let Network { forwards, host, .. } = self;
        let [one, two, five, six] = [1, 2, 5, 6].map(|number| self.at(number));
        // `here` and `left` are the ends of one wire, `right` and `there` those of the other.
        let here = self.wire();
        let steps = [
            format!("netns add {forwards}"),
            format!("netns add {host}"),
            format!("link add {here} type veth peer name left netns {forwards}"),
            format!("-n {forwards} link add right type veth peer name there netns {host}"),
            format!("addr add {one}/30 dev {here}"),
            format!("link set {here} up"),
            format!("-n {forwards} addr add {two}/30 dev left"),
            format!("-n {forwards} link set left up"),
            format!("-n {forwards} addr add {five}/30 dev right"),
            format!("-n {forwards} link set right up"),
            format!("-n {host} addr add {six}/30 dev there"),
            format!("-n {host} link set there up"),
            format!("-n {host} link set lo up"),
            format!("-n {host} route add default via {five}"),
            format!("route add {}/30 via {two}", self.at(4)),
            format!("netns exec {forwards} sysctl -q -w net.ipv4.ip_forward=1"),
        ];
        steps.iter().all(|step| ip(step).is_some_and(|done| done.status.success()))
    }

    fn wire(&self) -> String {
        // A name of a device has 15 characters at most.
        self.host.replace("schedrs", "sch")
    }

    /// The address of this machine, as the host knows it.
    pub fn address(&self) -> String {
        self.at(1).to_string()
    }

    /// What stands before a program that is to run on the host.
    pub fn shell(&self) -> String {
        format!("exec ip netns exec {} \"$@\"", self.host)
    }

    /// What goes this way is lost, without a word.
    pub fn lose(&self, way: Way) {
        let from = match way {
            Way::ToServer => "right",
            Way::ToClient => "left",
        };
        self.rule(&format!("add iif {from} blackhole"));
    }

    /// It is not any more.
    pub fn mend(&self) {
        for from in ["left", "right"] {
            ip(&format!("-n {} rule del iif {from} blackhole", self.forwards));
        }
    }

    fn rule(&self, rule: &str) {
        let done = ip(&format!("-n {} rule {rule}", self.forwards)).unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.wire()));
        for namespace in [&self.host, &self.forwards] {
            ip(&format!("netns del {namespace}"));
        }
    }
}

/// Takes away what tests have left that were killed.
fn clear() {
    let left = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in left.filter_map(|entry| entry.file_name().into_string().ok()) {
        let Some(pid) = name.strip_prefix("schedrs") else { continue };
        let pid = pid.trim_end_matches(|end: char| !end.is_ascii_digit());
        if !Path::new("/proc").join(pid).exists() {
            // The wires go with them.
            ip(&format!("netns del {name}"));
        }
    }
}

fn ip(words: &str) -> Option<Output> {
    let mut command = Command::new("ip");
    command.args(words.split(' ')).stdin(Stdio::null());
    command.output().ok()
}
