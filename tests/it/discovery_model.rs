//! Whom each person is suggested and finds in the directory, and what stands in feeds, after people did all there is to do
//! at random: what a plain model says, and nobody else.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::xml::Element;
use crate::support::{Person, Server};
use crate::syndication;

const PEOPLE: usize = 6;
const STEPS: u32 = 240;
const LOOKS: u32 = 4;
const TAGS: [&str; 3] = ["rain", "snow", "hail"];

struct Post {
    id: String,
    author: usize,
    is_public: bool,
    tag: &'static str,
}

/// Everybody by their place among the people; pairs are of who does it and to whom.
#[derive(Default)]
struct Model {
    follows: BTreeSet<(usize, usize)>,
    blocks: BTreeSet<(usize, usize)>,
    mutes: BTreeSet<(usize, usize)>,
    dismissed: BTreeSet<(usize, usize)>,
    suspended: BTreeSet<usize>,
    /// Not listed, not suggested, not syndicated.
    hidden: [BTreeSet<usize>; 3],
    /// Those that are there, the oldest first.
    posts: Vec<Post>,
}

impl Model {
    fn are_apart(&self, one: usize, other: usize) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    /// Whom somebody may be shown, whatever these people want.
    fn may_be_shown(&self, viewer: usize, other: usize) -> bool {
        viewer != other
            && !self.suspended.contains(&other)
            && !self.follows.contains(&(viewer, other))
            && !self.mutes.contains(&(viewer, other))
            && !self.are_apart(viewer, other)
    }

    fn may_be_suggested(&self, viewer: usize, other: usize) -> bool {
        self.may_be_shown(viewer, other)
            && !self.hidden[1].contains(&other)
            && !self.dismissed.contains(&(viewer, other))
    }

    fn public(&self, by: usize) -> impl Iterator<Item = &Post> {
        let posts = self.posts.iter().rev();
        posts.filter(move |post| post.is_public && post.author == by)
    }

    fn tags(&self, of: usize) -> BTreeSet<&str> {
        self.public(of).map(|post| post.tag).collect()
    }

    /// Those who may tell a viewer of somebody: who follow them, and whom the viewer follows and hears.
    fn between(&self, viewer: usize, other: usize) -> BTreeSet<usize> {
        let friends = (0..PEOPLE).filter(|friend| {
            self.follows.contains(&(viewer, *friend))
                && !self.mutes.contains(&(viewer, *friend))
                && !self.suspended.contains(friend)
                && self.follows.contains(&(*friend, other))
        });
        friends.collect()
    }

    fn is_syndicated(&self, person: usize) -> bool {
        !self.suspended.contains(&person) && !self.hidden[2].contains(&person)
    }
}

struct World {
    server: Server,
    admin: Person,
    people: Vec<Person>,
    dice: Dice,
    model: Model,
}

impl World {
    async fn step(&mut self) {
        let one = self.somebody();
        let other = self.somebody();
        if self.model.suspended.contains(&one) {
            // They can do nothing but come back.
            if self.dice.is_one_in(2) {
                self.set_status(one, "active").await;
            }
            return;
        }
        match self.dice.below(24) {
            0..7 => self.relate(one, other, Method::POST, "follow").await,
            7 => self.relate(one, other, Method::DELETE, "follow").await,
            8 => self.relate(one, other, Method::POST, "block").await,
            9 => self.relate(one, other, Method::DELETE, "block").await,
            10 => self.relate(one, other, Method::POST, "mute").await,
            11 => self.relate(one, other, Method::DELETE, "mute").await,
            12 => self.dismiss(one, other).await,
            13 | 14 => self.choose(one).await,
            15 => self.set_status(one, "suspended").await,
            16 | 17 => self.change_a_post(one).await,
            _ => self.write(one).await,
        }
    }

    fn somebody(&mut self) -> usize {
        usize::try_from(self.dice.below(PEOPLE as u64)).unwrap()
    }

    async fn relate(&mut self, one: usize, other: usize, method: Method, what: &str) {
        if one == other || self.model.suspended.contains(&other) {
            return;
        }
        let id = &self.people[other].id;
        let begins = method == Method::POST;
        let path = match (what, begins) {
            ("follow", true) => format!("/users/follow/{id}"),
            ("follow", false) => format!("/users/unfollow/{id}"),
            _ => format!("/users/{id}/{what}"),
        };
        let request = self.people[one].request(method, &path).json(&json!({}));
        if !self.people[one].send(request).await.status.is_success() {
            // Which of these may be done is told elsewhere.
            return;
        }
        let model = &mut self.model;
        let pairs = match what {
            "follow" => &mut model.follows,
            "block" => &mut model.blocks,
            _ => &mut model.mutes,
        };
        if begins {
            pairs.insert((one, other));
        } else {
            pairs.remove(&(one, other));
        }
        if what == "block" && begins {
            model.follows.remove(&(one, other));
            model.follows.remove(&(other, one));
        }
    }

    async fn dismiss(&mut self, one: usize, other: usize) {
        let path = format!("/api/v1/suggestions/{}", self.people[other].id);
        let reply = self.people[one].delete(&path).await;
        if one == other || self.model.are_apart(one, other) {
            reply.expect_code(404, "user_not_found");
        } else {
            reply.expect(200);
            self.model.dismissed.insert((one, other));
        }
    }

    async fn choose(&mut self, one: usize) {
        let wants = [(); 3].map(|()| !self.dice.is_one_in(3));
        let [is_listed, is_suggested, is_syndicated] = wants;
        let settings = json!({
            "isListed": is_listed, "isSuggested": is_suggested, "isSyndicated": is_syndicated,
        });
        self.people[one]
            .put("/api/v1/discovery/settings", settings)
            .await
            .expect(200);
        for (hidden, wants) in self.model.hidden.iter_mut().zip(wants) {
            if wants {
                hidden.remove(&one);
            } else {
                hidden.insert(one);
            }
        }
    }

    async fn set_status(&mut self, one: usize, status: &str) {
        let path = format!("/api/v1/admin/users/{}/status", self.people[one].id);
        self.admin
            .patch(&path, json!({ "status": status }))
            .await
            .expect(200);
        if status == "suspended" {
            self.model.suspended.insert(one);
        } else {
            self.model.suspended.remove(&one);
            self.people[one] = self.server.log_in(&self.people[one]).await;
        }
    }

    async fn write(&mut self, author: usize) {
        let tag = self.dice.one_of(&TAGS);
        let visibility = self
            .dice
            .one_of(&["public", "public", "followers", "private"]);
        let text = format!("#{tag}");
        let id = self.people[author].write_for(&text, visibility).await;
        self.model.posts.push(Post {
            id,
            author,
            is_public: visibility == "public",
            tag,
        });
    }

    /// Removes one of somebody's posts, or changes who may see it.
    async fn change_a_post(&mut self, author: usize) {
        let own: Vec<usize> = (0..self.model.posts.len())
            .filter(|at| self.model.posts[*at].author == author)
            .collect();
        let Some(at) = self.dice.among(&own).copied() else {
            return;
        };
        let path = format!("/posts/{}", self.model.posts[at].id);
        if self.dice.is_one_in(2) {
            self.people[author].delete(&path).await.expect(200);
            self.model.posts.remove(at);
            return;
        }
        let visibility = self.dice.one_of(&["public", "followers"]);
        self.people[author]
            .patch(&path, json!({ "visibility": visibility }))
            .await
            .expect(200);
        self.model.posts[at].is_public = visibility == "public";
    }

    /// Compares all with the model.
    async fn compare(&self) {
        for viewer in (0..PEOPLE).filter(|one| !self.model.suspended.contains(one)) {
            self.compare_suggestions(viewer).await;
            self.compare_directory(viewer).await;
        }
        for person in 0..PEOPLE {
            self.compare_person_feed(person).await;
        }
        for tag in TAGS {
            let path = format!("/api/v1/tags/{tag}/posts.rss");
            let posts = self.model.posts.iter().rev().filter(|post| {
                post.is_public && post.tag == tag && self.model.is_syndicated(post.author)
            });
            let expected: Vec<&str> = posts.take(30).map(|post| post.id.as_str()).collect();
            assert_eq!(self.feed(&path).await, expected, "{path}");
        }
    }

    fn places(&self, people: &Value) -> Vec<usize> {
        let people = people.as_array().unwrap().iter();
        let ids = people.map(|one| one["id"].as_str().unwrap());
        // The admin is nobody's business here.
        ids.filter(|id| *id != self.admin.id)
            .map(|id| self.people.iter().position(|one| one.id == id).unwrap())
            .collect()
    }

    async fn compare_suggestions(&self, viewer: usize) {
        let model = &self.model;
        let reply = self.people[viewer]
            .get("/api/v1/suggestions?limit=100")
            .await
            .expect(200);
        let found = reply["suggestions"].as_array().unwrap();
        let mut reasons: BTreeMap<usize, &Value> = BTreeMap::new();
        for one in found {
            for place in self.places(&json!([one["user"]])) {
                assert!(reasons.insert(place, &one["reasons"]).is_none());
            }
        }
        // There are few enough that whoever may be suggested is.
        let expected: Vec<usize> = (0..PEOPLE)
            .filter(|other| model.may_be_suggested(viewer, *other))
            .collect();
        let seen: Vec<usize> = reasons.keys().copied().collect();
        assert_eq!(seen, expected, "suggested to {viewer}");
        for (other, reasons) in reasons {
            let of = |kind: &str| {
                let mut reasons = reasons.as_array().unwrap().iter();
                reasons.find(|reason| reason["kind"] == kind)
            };
            let between = model.between(viewer, other);
            let told = of("followed_by_followed");
            let count = told.map_or(0, |reason| reason["count"].as_u64().unwrap());
            assert_eq!(count, between.len() as u64, "{other} for {viewer}");
            if let Some(told) = told {
                let named = self.places(&told["users"]);
                assert_eq!(named.len(), between.len().min(3));
                assert!(named.iter().all(|one| between.contains(one)));
            }
            let own = model.tags(viewer);
            let theirs = model.tags(other);
            let shared: BTreeSet<&str> = own.intersection(&theirs).copied().collect();
            let told = of("shared_tags").map(|reason| reason["tags"].as_array().unwrap());
            let told: BTreeSet<&str> = told
                .into_iter()
                .flatten()
                .map(|tag| tag.as_str().unwrap())
                .collect();
            assert_eq!(told, shared, "{other} for {viewer}");
        }
    }

    async fn compare_directory(&self, viewer: usize) {
        let model = &self.model;
        let mut listed: Vec<usize> = (0..PEOPLE)
            .rev()
            .filter(|other| model.may_be_shown(viewer, *other) && !model.hidden[0].contains(other))
            .collect();
        let found = self.people[viewer]
            .walk("/api/v1/directory?order=new", "users", 2)
            .await;
        assert_eq!(self.places(&json!(found)), listed, "new for {viewer}");
        let latest = |person: usize| {
            let posts = &model.posts;
            (0..posts.len()).rfind(|at| posts[*at].is_public && posts[*at].author == person)
        };
        listed.retain(|person| latest(*person).is_some());
        listed.sort_by_key(|person| std::cmp::Reverse(latest(*person)));
        let found = self.people[viewer]
            .walk("/api/v1/directory?order=active", "users", 2)
            .await;
        assert_eq!(self.places(&json!(found)), listed, "active for {viewer}");
    }

    async fn compare_person_feed(&self, person: usize) {
        let name = &self.people[person].username;
        let path = format!("/api/v1/users/by-username/{name}/posts.atom");
        if !self.model.is_syndicated(person) {
            self.server
                .get(&path)
                .await
                .expect_code(404, "user_not_found");
            return;
        }
        let posts = self.model.public(person).take(30);
        let expected: Vec<&str> = posts.map(|post| post.id.as_str()).collect();
        assert_eq!(self.feed(&path).await, expected, "{path}");
    }

    /// The ids of the posts in a feed.
    async fn feed(&self, path: &str) -> Vec<String> {
        let reply = self.server.get(path).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let root = Element::parse(&reply.text);
        let is_rss = root.name == "rss";
        syndication::posts(if is_rss { root.one("channel") } else { &root })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_found_who_must_not_be() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(server.sign_up(&format!("person{number}")).await);
    }
    let mut world = World {
        server,
        admin,
        people,
        dice: Dice::shaken(),
        model: Model::default(),
    };
    for step in 1..=STEPS {
        world.step().await;
        if step % (STEPS / LOOKS) == 0 {
            world.compare().await;
        }
    }
}
