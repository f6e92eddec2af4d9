//! The statements over stories, by what they are about.

mod circles;
mod highlights;
mod told;
mod tray;
mod views;

pub(super) use circles::*;
pub(super) use highlights::*;
pub(super) use told::*;
pub(super) use tray::*;
pub(super) use views::*;

/// Whether `:viewer` may see a story `s` of `u`, as long as it is there.
const VISIBLE: &str = "
    u.status = 'active'
    AND (s.author_id = :viewer
         OR (NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                         WHERE b.user_id = :viewer AND b.other_id = s.author_id)
             AND NOT EXISTS (SELECT 1 FROM story_circles AS c
                             WHERE c.owner_id = s.author_id AND c.circle = 1 AND c.user_id = :viewer)
             AND (s.audience = 0
                  OR (s.audience = 1
                      AND EXISTS (SELECT 1 FROM follows AS f
                                  WHERE f.follower_id = :viewer AND f.following_id = s.author_id AND f.is_active = 1))
                  OR (s.audience = 2
                      AND EXISTS (SELECT 1 FROM story_circles AS c
                                  WHERE c.owner_id = s.author_id AND c.circle = 0 AND c.user_id = :viewer)))))";
