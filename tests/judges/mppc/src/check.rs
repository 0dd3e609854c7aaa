//! What each makes of the others' packets: the same bytes, both ways, at every size of packet.

use std::fs;
use std::path::Path;
use std::process::Command;

use ironrdp_bulk::{BulkCompressor, CompressionType};
use sip_signin::compression::{Compressor, Decompressor, Form, Level};

use crate::packets::{Packet, form};

const SIZES: [usize; 6] = [40, 51, 500, 1000, 4000, 8000];

/// `judge` is `mppcj`, FreeRDP in a process of its own: it does not notice damage, so that it judges
/// sound streams only.
pub fn run(messages: &[Vec<u8>], judge: &Path, folder: &Path) {
    let session = messages.concat();
    let mut seed = 1_u32;
    let mut noise = |size: usize, mask: u8| -> Vec<u8> {
        let mut byte = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8 & mask
        };
        (0..size).map(|_| byte()).collect()
    };
    let data = [
        ("messages", session.clone()),
        ("noise", noise(60_000, 0xff)),
        ("few letters", noise(60_000, 0x83)),
        ("one letter", vec![b'a'; 60_000]),
        ("zeros and noise", [vec![0; 9000], noise(9000, 0xff), vec![0; 9000]].concat()),
        (
            "both by turns",
            session.chunks(3000).flat_map(|c| [c, &c[..c.len() / 3]].concat()).collect(),
        ),
    ];
    let mut streams = 0;
    for (name, plain) in &data {
        for size in SIZES {
            let chunks: Vec<Vec<u8>> = plain.chunks(size).map(<[u8]>::to_vec).collect();
            for level in [Level::Fast, Level::Best] {
                let packets = by_us(level, &chunks);
                assert!(
                    freerdp_reads(judge, folder, &packets) == *plain,
                    "{name} {size} {level:?}"
                );
                assert!(ironrdp_reads(&packets) == *plain, "{name} {size} {level:?}");
                assert!(we_read(&packets) == *plain, "{name} {size} {level:?}");
                streams += 3;
            }
            assert!(we_read(&by_freerdp(judge, folder, plain, size)) == *plain, "{name} {size}");
            assert!(we_read(&by_ironrdp(&chunks)) == *plain, "{name} {size}");
            streams += 2;
        }
    }
    println!("{streams} streams were read byte for byte");
}

fn by_us(level: Level, chunks: &[Vec<u8>]) -> Vec<Packet> {
    let mut compressor = Compressor::new(level);
    let mut packets = Vec::new();
    for chunk in chunks {
        let mut out = vec![0; chunk.len() + Compressor::ROOM];
        let (form, length) = compressor.compress(chunk, &mut out).expect("there is room");
        out.truncate(length);
        packets.push(Packet { flags: u32::from(form.flags()) << 4, payload: out });
    }
    packets
}

fn by_ironrdp(chunks: &[Vec<u8>]) -> Vec<Packet> {
    let mut ironrdp = BulkCompressor::new(CompressionType::Rdp4);
    let mut packets = Vec::new();
    for chunk in chunks {
        let (length, flags) = ironrdp.compress(chunk).expect("it compresses");
        let payload = match flags & 0x20 {
            0 => chunk.clone(),
            _ => ironrdp.compressed_data(length).to_vec(),
        };
        packets.push(Packet { flags: flags & 0xe0, payload });
    }
    packets
}

fn by_freerdp(judge: &Path, folder: &Path, plain: &[u8], size: usize) -> Vec<Packet> {
    let (from, to) = (folder.join("plain"), folder.join("packets"));
    fs::write(&from, plain).expect("it can be written");
    let done = Command::new(judge).arg("enc").args([&from, &to]).arg(size.to_string()).output();
    assert!(done.expect("the judge runs").status.success());
    let bytes = fs::read(&to).expect("the judge wrote");
    let mut rest = &bytes[..];
    let mut packets = Vec::new();
    while let Some((flags, behind)) = rest.split_first_chunk() {
        let (length, behind) = behind.split_first_chunk().expect("a length");
        let (payload, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        packets
            .push(Packet { flags: u32::from_le_bytes(*flags) & 0xe0, payload: payload.to_vec() });
        rest = behind;
    }
    packets
}

fn freerdp_reads(judge: &Path, folder: &Path, packets: &[Packet]) -> Vec<u8> {
    let (from, to) = (folder.join("packets"), folder.join("plain"));
    let mut bytes = Vec::new();
    for Packet { flags, payload } in packets {
        bytes.extend(flags.to_le_bytes());
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(payload);
    }
    fs::write(&from, bytes).expect("it can be written");
    let done = Command::new(judge).arg("dec").args([&from, &to]).output().expect("the judge runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read(&to).expect("the judge wrote")
}

fn ironrdp_reads(packets: &[Packet]) -> Vec<u8> {
    let mut ironrdp = BulkCompressor::new(CompressionType::Rdp4);
    let mut plain = Vec::new();
    for Packet { flags, payload } in packets {
        plain.extend(ironrdp.decompress(payload, *flags).expect("it decompresses"));
    }
    plain
}

fn we_read(packets: &[Packet]) -> Vec<u8> {
    let mut decompressor = Decompressor::new();
    let mut plain = Vec::new();
    for Packet { flags, payload } in packets {
        let mut flags = *flags;
        // A remote desktop may flush and compress at once, which is two packets here.
        if flags & 0xa0 == 0xa0 {
            decompressor.decompress(Form::Flushed, &[], 0).expect("it is sound");
            flags &= !0x80;
        }
        plain.extend(decompressor.decompress(form(flags), payload, 8192).expect("it is sound"));
    }
    plain
}
