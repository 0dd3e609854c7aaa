//! How fast each is, and how short its packets are.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ironrdp_bulk::{BulkCompressor, CompressionType};
use sip_signin::compression::{Compressor, Decompressor, Level};

use crate::freerdp::Library;
use crate::packets::{Packet, form};

/// One of those that are measured, and its best round so far.
struct Runner<'a> {
    name: &'static str,
    round: Box<dyn FnMut() -> usize + 'a>,
    best: Duration,
    /// What the first round did, which had no history yet.
    first: Option<usize>,
}

impl<'a> Runner<'a> {
    fn new(name: &'static str, round: impl FnMut() -> usize + 'a) -> Self {
        Self { name, round: Box::new(round), best: Duration::MAX, first: None }
    }
}

/// Lets them take turns, so that a machine that is busy is busy for all of them, and none learns the
/// messages by heart: given the same ones many times on end, a processor predicts every branch.
fn race(runners: &mut [Runner], seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for runner in &mut *runners {
            let begun = Instant::now();
            let done = black_box((runner.round)());
            runner.best = runner.best.min(begun.elapsed());
            runner.first.get_or_insert(done);
        }
    }
}

pub fn run(messages: &[Vec<u8>], seconds: u64) {
    let size: usize = messages.iter().map(Vec::len).sum();
    let speed = |took: Duration| size as f64 / took.as_secs_f64() / 1e6;
    println!("{} messages, {size} bytes; the best of many rounds, by turns", messages.len());
    let library = Library::open().expect("libfreerdp2-2 is installed");

    let mut outs = [(); 3].map(|()| vec![0; 1 << 16]);
    let [of_freerdp, of_fast, of_best] = &mut outs;
    // No round begins with making anything; the first packet of a round goes behind the last.
    let mut freerdp = library.context(true);
    let mut ironrdp = BulkCompressor::new(CompressionType::Rdp4);
    let (mut fast, mut best) = (Compressor::new(Level::Fast), Compressor::new(Level::Best));
    let mut runners = [
        Runner::new("FreeRDP", || {
            messages.iter().map(|message| freerdp.compress(message, of_freerdp).1.len()).sum()
        }),
        Runner::new("ironrdp-bulk", || {
            let length = |message: &Vec<u8>| ironrdp.compress(message).expect("it compresses").0;
            messages.iter().map(length).sum()
        }),
        Runner::new("ours, fast", || {
            messages.iter().map(|message| fast.compress(message, of_fast).expect("room").1).sum()
        }),
    ];
    race(&mut runners, seconds);
    // Apart, for it takes its time and a large part of the cache.
    let mut slow = [Runner::new("ours, best", || {
        messages.iter().map(|message| best.compress(message, of_best).expect("room").1).sum()
    })];
    race(&mut slow, seconds);
    println!("\ncompress          MB/s     ratio");
    for runner in runners.iter().chain(&slow) {
        let ratio = runner.first.unwrap_or_default() as f64 / size as f64;
        println!("  {:12} {:8.1}    {ratio:.4}", runner.name, speed(runner.best));
    }
    let theirs = runners[0].best.min(runners[1].best);
    let compress = theirs.as_secs_f64() / runners[2].best.as_secs_f64();
    println!("  fast: {compress:.2} × the faster of them (at least 1)");
    let ratio = slow[0].first.unwrap_or_default() as f64 / size as f64;
    println!("  best: ratio {ratio:.4} (at most 0.30)");
    drop((runners, slow));

    let mut worst = f64::INFINITY;
    for (made_by, packets) in [
        ("FreeRDP", Packet::by_freerdp(library, messages)),
        ("ours, fast", Packet::by_us(Level::Fast, messages)),
        ("ours, best", Packet::by_us(Level::Best, messages)),
    ] {
        let mut freerdp = library.context(false);
        let mut ironrdp = BulkCompressor::new(CompressionType::Rdp4);
        let mut ours = Decompressor::new();
        let mut runners = [
            Runner::new("FreeRDP", || {
                let length = |p: &Packet| freerdp.decompress(p.flags, &p.payload).len();
                packets.iter().map(length).sum()
            }),
            Runner::new("ironrdp-bulk", || {
                let length = |p: &Packet| ironrdp.decompress(&p.payload, p.flags).unwrap().len();
                packets.iter().map(length).sum()
            }),
            Runner::new("ours", || {
                let length = |p: &Packet| {
                    ours.decompress(form(p.flags), &p.payload, 8192).expect("it is sound").len()
                };
                packets.iter().map(length).sum()
            }),
        ];
        race(&mut runners, seconds);
        println!("\ndecompress the packets of {made_by}, MB/s");
        for runner in &runners {
            assert_eq!(runner.first, Some(size));
            println!("  {:12} {:8.1}", runner.name, speed(runner.best));
        }
        let theirs = runners[0].best.min(runners[1].best);
        let times = theirs.as_secs_f64() / runners[2].best.as_secs_f64();
        println!("  {times:.2} × the faster of them (at least 3)");
        worst = worst.min(times);
    }
    println!("\ndecompress {worst:.2} ×, compress {compress:.2} ×, ratio {ratio:.4}");
}
