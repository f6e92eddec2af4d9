//! What notifications say, and where they lead.

use super::Topic;
use super::entry::{Entry, Story};

/// What a story is about, roughly.
pub(super) fn topic(story: Story) -> Topic {
    match story {
        Story::OwnPost => Topic::Post,
        Story::Follow => Topic::Connection,
        Story::PasswordChanged | Story::EmailVerified => Topic::Profile,
        Story::PostMention
        | Story::Comment
        | Story::Reply
        | Story::CommentMention
        | Story::PostLike
        | Story::CommentLike => Topic::Engagement,
    }
}

/// The text, for so many people of whom the newest are named.
pub(super) fn message(story: Story, names: &[impl AsRef<str>], count: usize) -> String {
    let deed = match story {
        Story::OwnPost => return "You created a new post!".to_owned(),
        Story::PasswordChanged => return "Your password was changed".to_owned(),
        Story::EmailVerified => return "Your e-mail address is verified".to_owned(),
        Story::PostMention => "mentioned you in a post",
        Story::Comment => "commented on your post",
        Story::Reply => "replied to your comment",
        Story::CommentMention => "mentioned you in a comment",
        Story::PostLike => "liked your post",
        Story::CommentLike => "liked your comment",
        Story::Follow => "started following you",
    };
    let name = |i: usize| names.get(i).map_or("", AsRef::as_ref);
    match count {
        0 | 1 => format!("{} {deed}", name(0)),
        2 => format!("{} and {} {deed}", name(0), name(1)),
        _ => format!("{} and {} others {deed}", name(0), count - 1),
    }
}

/// The page of the web client.
pub(super) fn link(entry: &Entry) -> Option<String> {
    match entry.story {
        Story::OwnPost | Story::PostMention | Story::PostLike => {
            Some(format!("/posts/{}", entry.post))
        }
        Story::Comment | Story::Reply | Story::CommentMention | Story::CommentLike => {
            Some(format!("/posts/{}#comment-{}", entry.post, entry.comment))
        }
        Story::Follow => Some(format!("/users/{}", entry.actor)),
        Story::PasswordChanged | Story::EmailVerified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_people_make_one_text() {
        let names = ["Ada", "Bob", "Cleo"];
        assert_eq!(message(Story::PostLike, &names, 1), "Ada liked your post");
        assert_eq!(
            message(Story::Follow, &names, 2),
            "Ada and Bob started following you"
        );
        assert_eq!(
            message(Story::PostLike, &names, 5),
            "Ada and 4 others liked your post"
        );
    }
}
