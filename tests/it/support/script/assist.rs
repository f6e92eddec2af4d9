//! What writing help costs.

use socialhub::assist::RecordCall;
use socialhub::store::{Encoded, Once};

use super::{Script, encode};
use crate::support::dice::Dice;

impl Script {
    pub(super) fn record_call(&self, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let text = dice.sentence();
        encode(
            once,
            &RecordCall {
                at: self.now(),
                input_tokens: dice.below(1_000),
                output_tokens: dice.below(1_000),
                cost_micros: dice.below(5_000),
                is_estimated: dice.is_one_in(3),
                text: (!dice.is_one_in(4)).then_some(text),
            },
        )
    }
}
