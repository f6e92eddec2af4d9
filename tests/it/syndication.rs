//! Public posts as Atom and RSS, for who has no account.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use socialhub::config::Config;

use crate::support::xml::Element;
use crate::support::{Client, Person, Reply, Server, pictures};

const PUBLIC_URL: &str = "https://social.example.org";

/// What a hostile author may write.
const HOSTILE: &str =
    "<script>alert('1')</script> & ]]> <!-- \"quoted\" #rain\n&amp; a second line";

fn named(config: &mut Config) {
    config.server.public_url = Some(format!("{PUBLIC_URL}/"));
}

fn of(person: &Person, format: &str) -> String {
    format!(
        "/api/v1/users/by-username/{}/posts.{format}",
        person.username
    )
}

fn tagged(tag: &str, format: &str) -> String {
    format!("/api/v1/tags/{tag}/posts.{format}")
}

/// The Atom feed at this address, with all that RFC 4287 requires of it.
async fn atom(client: &Client, path: &str) -> Element {
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/atom+xml");
    let feed = Element::parse(&reply.text);
    assert_eq!(feed.name, "feed");
    assert_eq!(feed.attributes["xmlns"], "http://www.w3.org/2005/Atom");
    let entries = feed.all("entry");
    for part in entries.iter().copied().chain([&feed]) {
        assert!(part.text_of("id").starts_with(PUBLIC_URL));
        assert!(!part.text_of("title").is_empty());
        let updated: jiff::Timestamp = part.text_of("updated").parse().unwrap();
        assert!(updated <= jiff::Timestamp::now());
    }
    let link = |of: &Element, rel: &str| {
        let links = of.all("link");
        let link = links.iter().find(|link| link.attributes["rel"] == rel);
        link.unwrap().attributes["href"].clone()
    };
    let address = link(&feed, "self");
    assert!(address.starts_with(PUBLIC_URL) && address.ends_with("/posts.atom"));
    assert!(link(&feed, "alternate").starts_with(PUBLIC_URL));
    for entry in entries {
        // Each has its author, so the feed needs none.
        assert!(!entry.one("author").text_of("name").is_empty());
        assert!(link(entry, "alternate").starts_with(PUBLIC_URL));
        assert_eq!(entry.one("content").attributes["type"], "html");
        for category in entry.all("category") {
            assert!(!category.attributes["term"].is_empty());
        }
    }
    feed
}

/// The RSS feed at this address, with all that RSS 2.0 requires of it: its channel.
async fn rss(client: &Client, path: &str) -> Element {
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/rss+xml");
    let mut root = Element::parse(&reply.text);
    assert_eq!(root.name, "rss");
    assert_eq!(root.attributes["version"], "2.0");
    let channel = root.elements.remove(0);
    assert_eq!((&*channel.name, root.elements.len()), ("channel", 0));
    for part in ["title", "link", "description"] {
        assert!(!channel.text_of(part).is_empty(), "{part}");
    }
    let date = |text: &str| httpdate::parse_http_date(text).unwrap();
    date(channel.text_of("lastBuildDate"));
    assert!(channel.text_of("link").starts_with(PUBLIC_URL));
    let own = &channel.one("atom:link").attributes;
    assert!(own["href"].starts_with(PUBLIC_URL) && own["href"].ends_with("/posts.rss"));
    for item in channel.all("item") {
        // One of the two would do.
        assert!(!item.text_of("title").is_empty());
        assert!(!item.text_of("description").is_empty());
        assert!(item.text_of("link").starts_with(PUBLIC_URL));
        assert_eq!(item.one("guid").attributes["isPermaLink"], "false");
        date(item.text_of("pubDate"));
    }
    channel
}

/// The ids of the posts in an Atom feed, or in a channel of RSS.
pub(crate) fn posts(feed: &Element) -> Vec<String> {
    let (entry, id) = if feed.name == "feed" {
        ("entry", "id")
    } else {
        ("item", "guid")
    };
    let ids = feed.all(entry).into_iter().map(|one| one.text_of(id));
    ids.map(|id| id.rsplit('/').next().unwrap().to_owned())
        .collect()
}

async fn both(client: &Client, path: impl Fn(&str) -> String) -> Vec<String> {
    let found = posts(&atom(client, &path("atom")).await);
    assert_eq!(found, posts(&rss(client, &path("rss")).await));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn public_posts_are_read_without_an_account_and_nothing_else() {
    let server = Server::start_with(named).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    let first = bob.write("first #rain").await;
    for visibility in ["followers", "private"] {
        bob.write_for("secret #rain", visibility).await;
    }
    let second = bob.write("second #rain #snow").await;
    let gone = bob.write("gone #rain").await;
    bob.delete(&format!("/posts/{gone}")).await.expect(200);
    let other = ada.write("of another #rain").await;

    let person = |format: &str| of(&bob, format);
    assert_eq!(both(&server, person).await, [&*second, &*first]);
    // Whoever asks is nobody: a token opens no more.
    assert_eq!(both(&bob, person).await, [&*second, &*first]);
    assert_eq!(both(&ada, person).await, [&*second, &*first]);
    let tag = |format: &str| tagged("RAIN", format);
    assert_eq!(both(&server, tag).await, [&*other, &*second, &*first]);
    let never = |format: &str| tagged("never", format);
    assert_eq!(both(&server, never).await, Vec::<String>::new());
    // The original's prefix leads there as well, and a username is one in any case.
    let path = "/users/by-username/BOB/posts.atom";
    assert_eq!(posts(&atom(&server, path).await), [&*second, &*first]);

    let hidden = json!({ "visibility": "followers" });
    bob.patch(&format!("/posts/{second}"), hidden)
        .await
        .expect(200);
    assert_eq!(both(&server, person).await, [&*first]);
    assert_eq!(both(&server, tag).await, [&*other, &*first]);

    for path in [
        "/api/v1/users/by-username/nobody/posts.atom",
        "/api/v1/users/by-username/nobody/posts.rss",
    ] {
        server.get(path).await.expect_code(404, "user_not_found");
    }
    server
        .get("/api/v1/users/by-username/bob/posts.xml")
        .await
        .expect(404);
    server
        .get(&tagged("a%20b", "rss"))
        .await
        .expect_code(400, "invalid_fields");
    server.post(&of(&bob, "atom"), json!({})).await.expect(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_it_or_is_suspended_is_not_syndicated() {
    let server = Server::start_with(named).await;
    let admin = server.set_up("root").await;
    let [ada, bob, eve] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    ];
    let kept = ada.write("#rain").await;
    for one in [&bob, &eve] {
        one.write("#rain").await;
    }
    let tag = |format: &str| tagged("rain", format);
    assert_eq!(both(&server, tag).await.len(), 3);
    let settings = json!({ "isListed": true, "isSuggested": true, "isSyndicated": false });
    bob.put("/api/v1/discovery/settings", settings)
        .await
        .expect(200);
    admin
        .patch(
            &format!("/api/v1/admin/users/{}/status", eve.id),
            json!({ "status": "suspended" }),
        )
        .await
        .expect(200);
    assert_eq!(both(&server, tag).await, [kept]);
    for one in [&bob, &eve] {
        for format in ["atom", "rss"] {
            // The same as of people whom nobody knows.
            server
                .get(&of(one, format))
                .await
                .expect_code(404, "user_not_found");
        }
    }
    atom(&server, &of(&ada, "atom")).await;

    let server = server
        .restart_with(|config| config.discovery.syndication = false)
        .await;
    for path in [of(&ada, "atom"), of(&ada, "rss"), tag("atom"), tag("rss")] {
        server.get(&path).await.expect_code(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_stays_text() {
    let server = Server::start_with(named).await;
    let bob = server.sign_up("b.ob").await;
    let profile = json!({ "name": "Bob <b> & \"Co\"", "bio": "<i>]]></i> &lt;" });
    bob.patch("/users/profile", profile).await.expect(200);
    let id = bob.write(HOSTILE).await;

    let feed = atom(&server, &of(&bob, "atom")).await;
    assert_eq!(feed.text_of("title"), "Bob <b> & \"Co\" (@b.ob)");
    assert_eq!(feed.text_of("subtitle"), "<i>]]></i> &lt;");
    let entry = feed.one("entry");
    assert_eq!(
        entry.text_of("id"),
        format!("{PUBLIC_URL}/api/v1/posts/{id}")
    );
    assert_eq!(entry.text_of("title"), HOSTILE.lines().next().unwrap());
    assert_eq!(entry.one("author").text_of("name"), "Bob <b> & \"Co\"");
    assert_eq!(entry.one("category").attributes["term"], "rain");
    let html = "<p>&lt;script&gt;alert(&apos;1&apos;)&lt;/script&gt; &amp; ]]&gt; &lt;!-- &quot;quoted&quot; #rain<br>\
                &amp;amp; a second line</p>";
    assert_eq!(entry.text_of("content"), html);

    let channel = rss(&server, &of(&bob, "rss")).await;
    let item = channel.one("item");
    assert_eq!(item.text_of("description"), html);
    assert_eq!(item.text_of("category"), "rain");
    assert_eq!(item.text_of("dc:creator"), "Bob <b> & \"Co\"");
    assert_eq!(item.text_of("link"), format!("{PUBLIC_URL}/@b.ob/{id}"));
    // A hashtag of any script has an address.
    bob.write("#Дождь").await;
    let feed = atom(&server, &tagged("%D0%94%D0%BE%D0%B6%D0%B4%D1%8C", "atom")).await;
    let id = feed.text_of("id");
    assert_eq!(
        id,
        format!("{PUBLIC_URL}/api/v1/tags/%D0%B4%D0%BE%D0%B6%D0%B4%D1%8C")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_along_and_sensitive_ones_are_asked_for() {
    let server = Server::start_with(named).await;
    let bob = server.sign_up("bob").await;
    let send = async |sensitive: &str| {
        let form = pictures::form()
            .text("alt", "A \"wheel\"")
            .text("isSensitive", sensitive.to_owned());
        let request = bob.request(Method::POST, "/api/v1/media").multipart(form);
        bob.send(request).await.expect(201)["media"]["id"].clone()
    };
    for sensitive in ["false", "true"] {
        let media = send(sensitive).await;
        bob.post("/posts/", json!({ "mediaIds": [media] }))
            .await
            .expect(201);
    }
    let feed = atom(&server, &of(&bob, "atom")).await;
    let entries = feed.all("entry");
    let contents: Vec<&str> = entries.iter().map(|one| one.text_of("content")).collect();
    let begins = |content: &str, with: &str| {
        assert!(content.starts_with(with), "{content}");
        assert!(content.contains("A &quot;wheel&quot;"), "{content}");
    };
    begins(contents[0], &format!("<p><a href=\"{PUBLIC_URL}/media/"));
    begins(contents[1], &format!("<p><img src=\"{PUBLIC_URL}/media/"));
    assert_eq!(entries[1].text_of("title"), "A post by bob the First");
    // They open without an account, as they are.
    let (_, rest) = contents[1].split_once(PUBLIC_URL).unwrap();
    let (path, _) = rest.split_once('"').unwrap();
    assert_eq!(server.get(path).await.status, 200);
}

async fn conditional(server: &Client, path: &str, header: &'static str, value: &str) -> Reply {
    server.with(header, value).get(path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_it_already_is_told_just_that() {
    let server = Server::start_with_clock(named).await;
    let bob = server.sign_up("bob").await;
    bob.write("older").await;
    server.advance(Duration::from_mins(1));
    let newest = bob.write("newest").await;
    for path in [of(&bob, "atom"), of(&bob, "rss")] {
        // Within the second of the last change there may be another, which the date would not tell.
        let reply = server.get(&path).await;
        assert_eq!(reply.header("last-modified"), "");
        assert!(reply.header("etag").starts_with("W/\""));
    }
    server.advance(Duration::from_secs(1));
    for path in [of(&bob, "atom"), of(&bob, "rss")] {
        let reply = server.get(&path).await;
        let (tag, date) = (reply.header("etag"), reply.header("last-modified"));
        assert_eq!(date, "Fri, 15 Jan 2027 08:01:00 GMT");
        for (header, value) in [("if-none-match", tag), ("if-modified-since", date)] {
            let known = conditional(&server, &path, header, value).await;
            assert_eq!(known.status, 304, "{header}");
            assert_eq!(known.text, "");
            assert_eq!(known.header("etag"), tag);
        }
        for (header, value) in [
            ("if-none-match", "W/\"another\""),
            ("if-modified-since", "Fri, 15 Jan 2027 08:00:00 GMT"),
            ("if-modified-since", "yesterday"),
        ] {
            let other = conditional(&server, &path, header, value).await;
            assert_eq!(other.status, 200, "{header}: {value}");
        }
        // The tag decides where there are both.
        let both = server
            .with("if-none-match", "W/\"another\"")
            .with("if-modified-since", date)
            .get(&path)
            .await;
        assert_eq!(both.status, 200);
        let head = server.request(Method::HEAD, &path);
        let head = server.send(head).await;
        assert_eq!((head.status.as_u16(), &*head.text), (200, ""));
    }
    // What is removed makes it another one, though its newest post is older.
    let path = of(&bob, "atom");
    let before = server.get(&path).await;
    bob.delete(&format!("/posts/{newest}")).await.expect(200);
    for header in ["etag", "last-modified"] {
        let condition = match header {
            "etag" => "if-none-match",
            _ => "if-modified-since",
        };
        let reply = conditional(&server, &path, condition, before.header(header)).await;
        assert_eq!(reply.status, 200, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_has_a_size() {
    let server = Server::start_with(named).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    for number in 0..31 {
        ada.write(&format!("{number} #short")).await;
    }
    let found = both(&server, |format| of(&ada, format)).await;
    assert_eq!(found.len(), 30);
    assert_eq!(both(&server, |format| tagged("short", format)).await, found);
    // Each character of it takes nine once it is escaped, twice.
    let long = "&".repeat(9_990);
    for _ in 0..4 {
        bob.write(&long).await;
    }
    let last = bob.write("short").await;
    for format in ["atom", "rss"] {
        let reply = server.get(&of(&bob, format)).await;
        assert!(reply.bytes.len() < 256 * 1024, "{}", reply.bytes.len());
        assert_ne!(reply.header("etag"), "");
    }
    let feed = atom(&server, &of(&bob, "atom")).await;
    let found = posts(&feed);
    assert_eq!((found.len(), &found[0]), (3, &last));
    // A title is not the whole of it.
    let title = feed.all("entry")[1].text_of("title");
    assert_eq!(title, format!("{}…", "&".repeat(80)));
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_count_against_the_limit_of_who_asks() {
    let server = Server::start_with(|config| {
        named(config);
        config.limits.enabled = true;
        config.limits.requests_burst = 4;
        config.limits.requests_per_minute = 1;
    })
    .await;
    let bob = server.sign_up("bob").await;
    for _ in 0..3 {
        atom(&server, &of(&bob, "atom")).await;
    }
    let refused = server.get(&of(&bob, "atom")).await;
    refused.expect_code(429, "rate_limited");
    assert_ne!(refused.header("retry-after"), "");
}
