//! Default avatars.

use super::*;

#[test]
fn an_avatar_follows_from_its_seed() {
    assert_eq!(
        default_avatar_svg(b"ada", "Ada"),
        default_avatar_svg(b"ada", "Ada")
    );
    assert_eq!(
        default_avatar_png(b"ada", 64).unwrap(),
        default_avatar_png(b"ada", 64).unwrap()
    );
    let all: std::collections::HashSet<Vec<u8>> = (0..500_u32)
        .map(|id| default_avatar_png(&id.to_le_bytes(), 16).unwrap())
        .collect();
    assert_eq!(all.len(), 500);
}

#[test]
fn an_avatar_of_any_size_is_a_picture() {
    for (side, expected) in [(0, 1), (1, 1), (32, 32), (400, 400), (u32::MAX, 1024)] {
        let file = default_avatar_png(b"", side).unwrap();
        let facts = inspected(&file, Format::Png).unwrap();
        assert_eq!((facts.width, facts.height), (expected, expected));
        let picture = decode(&file, Format::Png).unwrap();
        assert!(!picture.has_alpha());
    }
}

#[test]
fn a_label_cannot_leave_its_place() {
    let svg = default_avatar_svg(b"x", "\"><script>alert('1')</script>&\u{0}");
    assert!(!svg.contains("<script"));
    assert!(svg.contains("&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;"));
    assert!(!svg.contains('\0'));
    assert!(!svg.contains("href") && !svg.contains("style"));
}
