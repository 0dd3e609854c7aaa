//! A network link in a process, with a round trip, loss and faults, for kernels without `sch_netem`.
//!
//! `link NAMESPACE NAMESPACE DEVICE RULES` carries every IP packet between the TUN devices of that
//! name in two network namespaces, the client's first. It says `ready` once both are open. What
//! befalls the packets stands in [`rules`].

mod rules;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use rules::Rules;
use tun::{Reader, Writer};

/// A packet under way: when it arrives, how many set out before it, at which end it arrives.
type Travelling = Reverse<(Instant, usize, usize, Vec<u8>)>;

/// A packet that has set out, and from which end.
type SetOut = (Instant, usize, Vec<u8>);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, server, device, rules] = arguments.as_slice() else {
        return Err("link NAMESPACE NAMESPACE DEVICE RULES".into());
    };
    let rules: Rules = fs::read_to_string(rules)?.parse()?;
    let (sender, receiver) = channel();
    let mut ends = Vec::new();
    for (end, namespace) in [client, server].into_iter().enumerate() {
        let (reader, writer) = open(namespace, device)?;
        let sender = sender.clone();
        thread::spawn(move || listen(reader, end, &sender));
        ends.push(writer);
    }
    drop(sender);
    println!("ready");
    carry(&receiver, &mut ends, rules)
}

/// The device of this name in a namespace. A device stays in the namespace in which it was opened.
fn open(namespace: &str, device: &str) -> Result<(Reader, Writer), Box<dyn Error>> {
    setns(File::open(format!("/run/netns/{namespace}"))?, CloneFlags::CLONE_NEWNET)?;
    let mut settings = tun::Configuration::default();
    settings.tun_name(device).platform_config(|linux| {
        // It exists; `ip` gives it its addresses.
        linux.ensure_root_privileges(false);
    });
    Ok(tun::create(&settings)?.split())
}

fn listen(mut reader: Reader, end: usize, sender: &Sender<SetOut>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length) = reader.read(&mut buffer) {
        if sender.send((Instant::now(), end, buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn carry(
    receiver: &Receiver<SetOut>,
    ends: &mut [Writer],
    mut rules: Rules,
) -> Result<(), Box<dyn Error>> {
    let mut travelling: BinaryHeap<Travelling> = BinaryHeap::new();
    for count in 0.. {
        let (since, from, packet) = loop {
            let now = Instant::now();
            while let Some(Reverse((arrival, ..))) = travelling.peek()
                && *arrival <= now
                && let Some(Reverse((_, _, end, packet))) = travelling.pop()
            {
                // A device that is not up yet takes nothing: then it is lost.
                ends[end].write_all(&packet).ok();
            }
            let next = travelling.peek().map(|Reverse((arrival, ..))| *arrival - now);
            match receiver.recv_timeout(next.unwrap_or(Duration::from_secs(1))) {
                Ok(set_out) => break set_out,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        };
        if let Some((delay, changed)) = rules.judge(&packet) {
            let packet = changed.unwrap_or(packet);
            travelling.push(Reverse((since + delay, count, 1 - from, packet)));
        }
    }
    Ok(())
}
