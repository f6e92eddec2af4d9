//! Whom people choose for their stories: close friends, and those from whom they hide.

use serde::{Deserialize, Serialize};

use super::{SetCircle, Stories, sql};
use crate::actor::Actor;
use crate::error::Result;
use crate::id::UserId;
use crate::page::{Cursor, Page, Slice};
use crate::users::Person;

/// People in one circle.
pub(super) const MAX_PEOPLE: u32 = 1_000;

/// A choice of people; nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Circle {
    /// Those who see what is for close friends.
    CloseFriends,
    /// Those who see no story of one's at all.
    HiddenFrom,
}

impl Stories {
    /// The people of a circle who are there for its owner.
    pub async fn circle(&self, owner: UserId, circle: Circle, page: Page) -> Result<Slice<Person>> {
        self.store
            .read(move |tx| {
                let rows = sql::circle(tx, owner, circle, &page)?;
                Ok(page.cut(rows, |person| Cursor::id(person.id.get())))
            })
            .await
    }

    /// Takes somebody into a circle, or out of it; again changes nothing.
    ///
    /// Errors: `user_not_found`, `too_many_in_circle`.
    pub async fn set_circle(
        &self,
        actor: &Actor,
        circle: Circle,
        user_id: UserId,
        wants: bool,
    ) -> Result<()> {
        let command = SetCircle {
            owner_id: actor.user_id,
            circle,
            user_id,
            wants,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }
}
