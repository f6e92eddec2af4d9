//! What was told one person lately, so that who comes back is told what they missed.

use std::collections::VecDeque;
use std::sync::Arc;

/// Events that are kept for one person.
const MAX_EVENTS: usize = 256;

/// Something that happened, told to one person.
#[derive(Debug, PartialEq, Eq)]
pub struct Happening {
    /// Its name for clients.
    pub name: String,
    /// JSON; addresses in it as they are stored.
    pub payload: String,
}

/// A person's latest events, each with a number: one more than the one before.
#[derive(Debug)]
pub(super) struct Ring {
    /// Names this ring: numbers mean nothing in another.
    epoch: String,
    events: VecDeque<Arc<Happening>>,
    bytes: usize,
    /// The number of the last event.
    last: u64,
}

/// Where somebody stands who comes with the id of the last event that they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// They had none.
    Fresh,
    /// What came after this number is here.
    After(u64),
    /// What they missed is not known any more.
    Lost,
}

impl Ring {
    pub(super) fn new(epoch: String) -> Self {
        Self {
            epoch,
            events: VecDeque::new(),
            bytes: 0,
            last: 0,
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The id of an event.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.epoch)
    }

    /// What the payloads take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event. The oldest go, until the payloads take at most so many bytes; the newest stays whatever it takes.
    pub(super) fn push(&mut self, happening: Arc<Happening>, max_bytes: usize) {
        self.last += 1;
        self.bytes += happening.payload.len();
        self.events.push_back(happening);
        while self.events.len() > MAX_EVENTS || (self.bytes > max_bytes && self.events.len() > 1) {
            if let Some(oldest) = self.events.pop_front() {
                self.bytes -= oldest.payload.len();
            }
        }
    }

    /// Puts something else in the place of the events whose payloads contain a text.
    pub(super) fn replace(&mut self, text: &str, name: &str, payload: &str) {
        let meant = self.events.iter_mut();
        for event in meant.filter(|event| event.payload.contains(text)) {
            self.bytes = self.bytes - event.payload.len() + payload.len();
            *event = Arc::new(Happening {
                name: name.to_owned(),
                payload: payload.to_owned(),
            });
        }
    }

    /// Forgets the events that are here: who has not had them yet is not told of them.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }

    /// What an id that a client names means here.
    pub(super) fn place(&self, id: &str) -> Place {
        if id.is_empty() {
            return Place::Fresh;
        }
        let number = id
            .strip_prefix(&*self.epoch)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|number| number.parse().ok());
        match number {
            Some(number) if (self.first()..=self.last).contains(&number) => Place::After(number),
            _ => Place::Lost,
        }
    }

    /// The events after a number, with theirs; none when some of them are not here any more.
    pub(super) fn after(&self, number: u64) -> Option<Vec<(u64, Arc<Happening>)>> {
        let skipped = number.checked_sub(self.first())?;
        let numbers = number + 1..;
        let skipped = usize::try_from(skipped).ok()?;
        Some(
            numbers
                .zip(self.events.iter().skip(skipped).cloned())
                .collect(),
        )
    }

    /// The number before that of the first event that is here.
    fn first(&self) -> u64 {
        self.last - self.events.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BYTES: usize = 1_000;

    fn happening(payload: &str) -> Arc<Happening> {
        Arc::new(Happening {
            name: "x".into(),
            payload: payload.into(),
        })
    }

    fn payloads(ring: &Ring, after: u64) -> Vec<(u64, String)> {
        ring.after(after)
            .unwrap()
            .into_iter()
            .map(|(number, one)| (number, one.payload.clone()))
            .collect()
    }

    #[test]
    fn who_comes_back_is_given_what_came_after_and_nothing_else() {
        let mut ring = Ring::new("e".into());
        for text in ["a", "b", "c"] {
            ring.push(happening(text), MAX_BYTES);
        }
        assert_eq!(payloads(&ring, 1), [(2, "b".into()), (3, "c".into())]);
        assert_eq!(payloads(&ring, 0).len(), 3);
        assert!(payloads(&ring, 3).is_empty());
        assert_eq!(ring.place(&ring.id(1)), Place::After(1));
        assert_eq!(ring.place(""), Place::Fresh);
        for foreign in ["e-4", "f-1", "e-", "e", "-1", "e--1", "e-x"] {
            assert_eq!(ring.place(foreign), Place::Lost, "{foreign}");
        }
    }

    #[test]
    fn what_was_forgotten_is_lost_for_who_did_not_have_it() {
        let mut ring = Ring::new("e".into());
        for text in ["a", "b"] {
            ring.push(happening(text), MAX_BYTES);
        }
        ring.clear();
        assert_eq!((ring.bytes(), ring.place("e-1")), (0, Place::Lost));
        assert_eq!(ring.place("e-2"), Place::After(2));
        ring.push(happening("c"), MAX_BYTES);
        assert_eq!(payloads(&ring, 2), [(3, "c".into())]);
    }

    #[test]
    fn the_oldest_go_and_are_known_to_be_gone() {
        let mut ring = Ring::new("e".into());
        for _ in 0..=MAX_EVENTS {
            ring.push(happening(""), MAX_BYTES);
        }
        assert_eq!(ring.place("e-0"), Place::Lost);
        assert_eq!(ring.after(0), None);
        assert_eq!(ring.after(1).unwrap().len(), MAX_EVENTS);
        ring.push(happening(&"x".repeat(MAX_BYTES + 1)), MAX_BYTES);
        assert_eq!(ring.after(ring.last() - 1).unwrap().len(), 1);
        assert_eq!(ring.after(ring.last() - 2), None);
    }
}
