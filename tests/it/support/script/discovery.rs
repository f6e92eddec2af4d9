//! What people choose of how they are found.

use socialhub::discovery::{DiscoverySettings, DismissSuggestion, EraseDiscovery, SetDiscovery};
use socialhub::store::{Encoded, Once};

use super::{Script, encode};
use crate::support::dice::Dice;

impl Script {
    pub(super) fn discovery_command(
        &self,
        name: &str,
        once: Option<Once>,
        dice: &mut Dice,
    ) -> Encoded {
        let user_id = self.person(dice);
        match name {
            "discovery.set" => encode(
                once,
                &SetDiscovery {
                    user_id,
                    settings: DiscoverySettings {
                        is_listed: dice.is_one_in(2),
                        is_suggested: dice.is_one_in(2),
                        is_syndicated: dice.is_one_in(2),
                    },
                },
            ),
            "discovery.dismiss" => encode(
                once,
                &DismissSuggestion {
                    user_id,
                    other_id: self.person(dice),
                    at: self.now(),
                },
            ),
            "discovery.erase" => encode(once, &EraseDiscovery { user_id, limit: 3 }),
            _ => panic!("no generator for {name}"),
        }
    }
}
