//! A shelf against the simplest thing that does the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::notifications::changes::is_whole;
use crate::notifications::entry::Story;

#[derive(Clone, Debug)]
enum Step {
    Add(u64),
    Mark(u64, Mark),
    MarkAll(u64, Mark),
    Remove(i64),
    Age(u64),
    WriteAndRead,
}

fn step() -> impl Strategy<Value = Step> {
    let mark = || prop_oneof![Just(Mark::Read), Just(Mark::Deleted)];
    let seq = 1..150_u64;
    prop_oneof![
        12 => seq.clone().prop_map(Step::Add),
        3 => (seq.clone(), mark()).prop_map(|(seq, mark)| Step::Mark(seq, mark)),
        1 => (seq.clone(), mark()).prop_map(|(seq, mark)| Step::MarkAll(seq / 4, mark)),
        1 => (1..5_i64).prop_map(Step::Remove),
        1 => seq.prop_map(|seq| Step::Age(seq / 6)),
        3 => Just(Step::WriteAndRead),
    ]
}

/// The simplest thing that does the same.
#[derive(Default)]
struct Model {
    /// Whether it is read; `None` is gone.
    entries: BTreeMap<u64, Option<bool>>,
    marked_ahead: BTreeMap<u64, Mark>,
    floor: u64,
    read_through: u64,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Add(seq) if seq > self.floor && !self.entries.contains_key(&seq) => {
                let row = match self.marked_ahead.get(&seq) {
                    Some(Mark::Deleted) => None,
                    Some(Mark::Read) => Some(true),
                    None => Some(false),
                };
                self.entries.insert(seq, row);
            }
            Step::Mark(seq, mark) => match (self.entries.get_mut(&seq), mark) {
                (Some(row), Mark::Read) => *row = row.map(|_| true),
                (Some(row), Mark::Deleted) => *row = None,
                (None, mark) => {
                    let ahead = self.marked_ahead.entry(seq).or_insert(mark);
                    if mark == Mark::Deleted {
                        *ahead = mark;
                    }
                }
            },
            Step::MarkAll(through, Mark::Read) => {
                self.read_through = self.read_through.max(through);
            }
            Step::MarkAll(through, Mark::Deleted) => self.drop_through(through),
            Step::Remove(post) => {
                for (seq, row) in &mut self.entries {
                    if post_of(*seq) == post && *seq < 100 {
                        *row = None;
                    }
                }
            }
            Step::Age(before) => {
                let (mut through, mut is_behind_younger) = (0, false);
                for (seq, row) in &mut self.entries {
                    if row.is_none() {
                        continue;
                    }
                    if time_of(*seq) >= before {
                        is_behind_younger = true;
                    } else if is_behind_younger {
                        *row = None;
                    } else {
                        through = *seq;
                    }
                }
                self.drop_through(through);
            }
            Step::Add(_) | Step::WriteAndRead => {}
        }
    }

    fn drop_through(&mut self, through: u64) {
        self.floor = self.floor.max(through);
        self.entries.retain(|seq, _| *seq > through);
    }

    fn shown(&self) -> Vec<(u64, bool)> {
        self.entries
            .iter()
            .filter_map(|(seq, row)| Some((*seq, (*row)? || *seq <= self.read_through)))
            .collect()
    }
}

/// Some happened, by the clock, long before their neighbours.
fn time_of(seq: u64) -> u64 {
    if seq.is_multiple_of(7) { seq / 5 } else { seq }
}

fn post_of(seq: u64) -> i64 {
    (seq % 5).cast_signed()
}

fn entry(seq: u64) -> Entry {
    Entry {
        story: Story::PostLike,
        at: Timestamp::from_millis(time_of(seq).cast_signed()),
        actor: 9.into(),
        post: post_of(seq),
        comment: 0,
        link: seq.cast_signed(),
    }
}

fn shown(tree: &Tree, user: UserId) -> Vec<(u64, bool)> {
    let mut items = read_items(tree, user, u64::MAX, usize::MAX, |summary, item| {
        matches!(item.row, Row::Entry { .. }).then(|| (item.seq, !summary.is_unread(&item)))
    })
    .unwrap();
    items.reverse();
    items
}

fn write(tree: &Tree, shelf: &Shelf) {
    let mut changes = Changes::default();
    shelf.write(&mut changes);
    changes.apply(tree).unwrap();
    assert!(is_whole(tree).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_shelf_does_what_the_model_does(steps in prop::collection::vec(step(), 1..250)) {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let tree = db.open_tree("t").unwrap();
        let user = UserId::from(7);
        let mut shelf = Shelf::read(&tree, user).unwrap();
        let mut model = Model::default();
        for step in &steps {
            model.apply(step);
            match *step {
                Step::Add(seq) => drop(shelf.add(&tree, seq, entry(seq)).unwrap()),
                Step::Mark(seq, mark) => shelf.mark(&tree, seq, mark).unwrap(),
                Step::MarkAll(through, mark) => shelf.mark_all(&tree, through, mark).unwrap(),
                Step::Remove(post) => shelf.remove(&tree, Object::Post(post), 100).unwrap(),
                Step::Age(before) => {
                    let before = Timestamp::from_millis(before.cast_signed());
                    shelf.age(&tree, before).unwrap();
                }
                Step::WriteAndRead => {
                    write(&tree, &shelf);
                    shelf = Shelf::read(&tree, user).unwrap();
                    prop_assert_eq!(shown(&tree, user), model.shown());
                }
            }
            let expected = model.shown();
            let unread = expected.iter().filter(|(_, is_read)| !is_read).count();
            prop_assert_eq!(shelf.summary.total, expected.len() as u64, "after {:?}", step);
            prop_assert_eq!(shelf.summary.unread, unread as u64, "after {:?}", step);
        }
        write(&tree, &shelf);
        prop_assert_eq!(shown(&tree, user), model.shown());
    }

    #[test]
    fn the_newest_stay_and_the_counts_hold(
        seqs in prop::collection::vec(1..2_000_u64, 1..400),
        keep in 8..60_u64,
    ) {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let tree = db.open_tree("t").unwrap();
        let user = UserId::from(7);
        for some in seqs.chunks(25) {
            let mut shelf = Shelf::read(&tree, user).unwrap();
            for seq in some {
                shelf.add(&tree, *seq, entry(*seq)).unwrap();
            }
            shelf.thin_out(&tree, keep).unwrap();
            write(&tree, &shelf);
        }
        let mut expected = seqs;
        expected.sort_unstable();
        expected.dedup();
        let shown = shown(&tree, user);
        let summary = read_summary(&tree, user).unwrap();
        prop_assert_eq!(summary.total, shown.len() as u64);
        prop_assert_eq!(summary.unread, shown.len() as u64);
        prop_assert!(summary.total <= keep);
        prop_assert!(summary.total >= (expected.len() as u64).min(keep - keep / 8));
        let newest: Vec<_> = expected[expected.len() - shown.len()..].iter().map(|seq| (*seq, false)).collect();
        prop_assert_eq!(shown, newest);
    }
}
