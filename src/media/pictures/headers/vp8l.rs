//! What the codes of a lossless WebP take once they are unpacked: a file of two megabytes can name 65,536 sets of them
//! for a single pixel, and the decoder makes four gigabytes of that. So they are read here first, and only weighed.
//!
//! All that stands before them has to be read as well: the transforms and the map of which set is used where, which are
//! small pictures, in codes of their own. Their pixels are passed over.
//! (<https://developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification>)

const LONGEST: usize = 15;

/// Codes up to this length are looked up in one table; what is longer is sought in a tree.
const LONGEST_IN_TABLE: usize = 10;

const LENGTH_ORDER: [usize; 19] = [
    17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

/// Green with lengths, red, blue, alpha, distances.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];

/// What a set of codes takes itself, and a code beside its table and its tree.
const SET_BYTES: u64 = 1024;
const CODE_BYTES: u64 = 64;

/// What the codes of a picture of this size take, counted up to `most`, beyond which it gives up; none if it is broken, or
/// of another size. Transparency is a picture without a header.
pub(super) fn code_bytes(
    stream: &[u8],
    has_header: bool,
    (width, height): (u32, u32),
    most: u64,
) -> Option<u64> {
    let mut bits = Bits {
        rest: stream,
        held: 0,
        count: 0,
    };
    if has_header {
        let mark = bits.read(8)?;
        let size = (bits.read(14)? + 1, bits.read(14)? + 1);
        let _has_alpha = bits.read(1)?;
        let version = bits.read(3)?;
        if (mark, size, version) != (0x2F, (width, height), 0) {
            return None;
        }
    }
    let width = transforms(&mut bits, width, height)?;
    let cache = cache(&mut bits)?;
    let mut sets = 1;
    if bits.read(1)? == 1 {
        let shift = bits.read(3)? + 2;
        let highest = pass_over(&mut bits, shrunk(width, shift), shrunk(height, shift))?;
        sets = u64::from(highest) + 1;
    }
    let mut bytes = 0;
    for _ in 0..sets {
        bytes += SET_BYTES;
        for code in set(&mut bits, cache)? {
            bytes += code.bytes();
        }
        if bytes > most {
            break;
        }
    }
    Some(bytes)
}

/// Reads the transforms; the width that is left of the picture after them.
fn transforms(bits: &mut Bits<'_>, mut width: u32, height: u32) -> Option<u32> {
    let mut seen = [false; 4];
    while bits.read(1)? == 1 {
        let kind = bits.read(2)?;
        let seen = seen.get_mut(kind as usize)?;
        if std::mem::replace(seen, true) {
            return None;
        }
        match kind {
            0 | 1 => {
                let shift = bits.read(3)? + 2;
                pass_over(bits, shrunk(width, shift), shrunk(height, shift))?;
            }
            3 => {
                let colors = bits.read(8)? + 1;
                pass_over(bits, colors, 1)?;
                // Several indices to a pixel.
                width = match colors {
                    1..=2 => shrunk(width, 3),
                    3..=4 => shrunk(width, 2),
                    5..=16 => shrunk(width, 1),
                    _ => width,
                };
            }
            _ => {}
        }
    }
    Some(width)
}

fn shrunk(side: u32, shift: u32) -> u32 {
    side.div_ceil(1 << shift)
}

/// How many colours a cache holds: so many more are in the first alphabet.
fn cache(bits: &mut Bits<'_>) -> Option<usize> {
    if bits.read(1)? == 0 {
        return Some(0);
    }
    match bits.read(4)? {
        shift @ 1..=11 => Some(1 << shift),
        _ => None,
    }
}

/// Passes over the pixels of a small picture; the highest number that any of them has in red and green. What is copied,
/// or found in the cache, was there before.
fn pass_over(bits: &mut Bits<'_>, width: u32, height: u32) -> Option<u32> {
    let cache = cache(bits)?;
    let [green, red, blue, alpha, distance] = &set(bits, cache)?;
    let pixels = u64::from(width) * u64::from(height);
    let (mut at, mut highest) = (0, 0);
    while at < pixels {
        let symbol = green.read(bits)?;
        if symbol < 256 {
            highest = highest.max(red.read(bits)? << 8 | symbol);
            blue.read(bits)?;
            alpha.read(bits)?;
            at += 1;
            // Where no code takes a bit, all pixels are this one.
            if [green, red, blue, alpha]
                .iter()
                .all(|code| code.is_single())
            {
                break;
            }
        } else if symbol < 256 + 24 {
            at += number(bits, symbol - 256)?;
            let symbol = distance.read(bits)?;
            number(bits, symbol)?;
        } else {
            at += 1;
        }
    }
    Some(highest)
}

/// A length or a distance: the higher the symbol, the more bits follow.
fn number(bits: &mut Bits<'_>, symbol: u32) -> Option<u64> {
    if symbol < 4 {
        return Some(u64::from(symbol) + 1);
    }
    let more = (symbol - 2) >> 1;
    let start = u64::from(2 + (symbol & 1)) << more;
    Some(start + u64::from(bits.read(more)?) + 1)
}

fn set(bits: &mut Bits<'_>, cache: usize) -> Option<[Code; 5]> {
    let [green, red, blue, alpha, distance] = ALPHABETS;
    Some([
        Code::read_from(bits, green + cache)?,
        Code::read_from(bits, red)?,
        Code::read_from(bits, blue)?,
        Code::read_from(bits, alpha)?,
        Code::read_from(bits, distance)?,
    ])
}

/// A canonical prefix code.
enum Code {
    Single(u32),
    Many {
        /// How many symbols there are of each length.
        counts: [u32; LONGEST + 1],
        /// The symbols by length.
        symbols: Vec<u16>,
    },
}

impl Code {
    fn read_from(bits: &mut Bits<'_>, alphabet: usize) -> Option<Self> {
        if bits.read(1)? == 1 {
            let is_pair = bits.read(1)? == 1;
            let width = if bits.read(1)? == 1 { 8 } else { 1 };
            let first = bits.read(width)?;
            let is_known = |symbol: u32| (symbol as usize) < alphabet;
            if !is_pair {
                return is_known(first).then_some(Self::Single(first));
            }
            let second = bits.read(8)?;
            if !is_known(first) || !is_known(second) {
                return None;
            }
            let mut counts = [0; LONGEST + 1];
            counts[1] = 2;
            return Some(Self::Many {
                counts,
                symbols: vec![u16::try_from(first).ok()?, u16::try_from(second).ok()?],
            });
        }
        let mut lengths = [0; LENGTH_ORDER.len()];
        let count = bits.read(4)? as usize + 4;
        for place in LENGTH_ORDER.iter().take(count) {
            *lengths.get_mut(*place)? = u8::try_from(bits.read(3)?).ok()?;
        }
        let lengths = Self::of_lengths(&lengths)?.read_lengths(bits, alphabet)?;
        Self::of_lengths(&lengths)
    }

    /// Reads the lengths of a code's symbols, which are coded in this one.
    fn read_lengths(&self, bits: &mut Bits<'_>, alphabet: usize) -> Option<Vec<u8>> {
        let mut left = alphabet;
        if bits.read(1)? == 1 {
            let width = 2 + 2 * bits.read(3)?;
            left = bits.read(width)? as usize + 2;
            if left > alphabet {
                return None;
            }
        }
        let mut lengths = Vec::with_capacity(alphabet);
        let mut previous = 8;
        while lengths.len() < alphabet && left > 0 {
            left -= 1;
            let (length, repeat) = match self.read(bits)? {
                16 => (previous, bits.read(2)? + 3),
                17 => (0, bits.read(3)? + 3),
                18 => (0, bits.read(7)? + 11),
                length => (u8::try_from(length).ok()?, 1),
            };
            if length > 0 {
                previous = length;
            }
            if lengths.len() + repeat as usize > alphabet {
                return None;
            }
            lengths.resize(lengths.len() + repeat as usize, length);
        }
        lengths.resize(alphabet, 0);
        Some(lengths)
    }

    /// None unless every sequence of bits means something, and one thing only.
    fn of_lengths(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u32; LONGEST + 1];
        for length in lengths {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        counts[0] = 0;
        let mut symbols = Vec::new();
        for (length, count) in counts.iter().enumerate().skip(1) {
            if *count > 0 {
                let those = (0_u16..).zip(lengths);
                let those = those.filter(|(_, other)| usize::from(**other) == length);
                symbols.extend(those.map(|(symbol, _)| symbol));
            }
        }
        if let [only] = *symbols {
            return Some(Self::Single(only.into()));
        }
        let taken = (1..=LONGEST).map(|length| u64::from(counts[length]) << (LONGEST - length));
        (taken.sum::<u64>() == 1 << LONGEST).then_some(Self::Many { counts, symbols })
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let (counts, symbols) = match self {
            Self::Single(symbol) => return Some(*symbol),
            Self::Many { counts, symbols } => (counts, symbols),
        };
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for count in counts.iter().skip(1) {
            code |= bits.read(1)?;
            if code - first < *count {
                let symbol = symbols.get((index + code - first) as usize);
                return symbol.map(|symbol| u32::from(*symbol));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    fn is_single(&self) -> bool {
        matches!(self, Self::Single(_))
    }

    /// What the decoder makes of it.
    fn bytes(&self) -> u64 {
        let Self::Many { counts, .. } = self else {
            return 0;
        };
        let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let in_tree: u32 = counts.iter().skip(LONGEST_IN_TABLE + 1).sum();
        // Four bytes for each place in the table, and two nodes of sixteen for each symbol in the tree.
        CODE_BYTES + (4 << longest.min(LONGEST_IN_TABLE)) + 32 * u64::from(in_tree)
    }
}

/// Bits from the lowest of each byte on.
struct Bits<'a> {
    rest: &'a [u8],
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// At most 32.
    fn read(&mut self, count: u32) -> Option<u32> {
        while self.count < count {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
        }
        let read = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        u32::try_from(read).ok()
    }
}
