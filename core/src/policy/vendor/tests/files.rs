//! How files are read, and what is said of mistakes in them.

use proptest::prelude::*;

use super::*;

#[test]
fn a_vendor_takes_over_what_it_does_not_say_itself() {
    let text = r#"
        [vendor.generic]
        reply = [{ attribute = "A", value = "a" }, { attribute = "B", value = "b" }, { attribute = "C", value = "c" }]
        coa = { port = 1, attributes = ["A", "B"], undo = [{ attribute = "A", value = "0" }, { attribute = "B", value = "0" }] }
        [vendor.child]
        without = ["C"]
        reply = [{ attribute = "A", value = "1" }, { attribute = "D", value = "d" }, { attribute = "A", value = "2" }]
        coa = { attributes = ["B"] }
        [vendor.grandchild]
        extends = "child"
        reply = [{ attribute = "A", value = "3" }]
        [vendor.apart]
        extends = ""
        reply = [{ attribute = "E", value = "e" }]
    "#;
    let set = read(text).unwrap();
    let vendor = |name: &str| set.get(name).unwrap();
    let shown = |name: &str| lines(&vendor(name).reply(&Terms::default()).unwrap());
    assert_eq!(shown("generic"), ["A = a", "B = b", "C = c"]);
    assert_eq!(shown("child"), ["A = 1", "A = 2", "B = b", "D = d"]);
    assert_eq!(shown("grandchild"), ["A = 3", "B = b", "D = d"]);
    assert_eq!(shown("apart"), ["E = e"]);
    assert_eq!(vendor("child").extends(), Some("generic"));
    assert_eq!((vendor("apart").extends(), vendor("generic").extends()), (None, None));
    let coa = vendor("grandchild").coa();
    assert_eq!((coa.port, coa.attributes.as_slice()), (1, ["B".to_owned()].as_slice()));
    assert_eq!(coa.undo.len(), 1, "what is not sent needs no taking back");
    assert_eq!(vendor("apart").coa(), &Coa::default());
    let names: Vec<&str> = set.attributes().iter().map(VendorAttribute::name).collect();
    for attribute in set.attributes() {
        assert_eq!(names[attribute.index()], attribute.name());
    }
}

#[test]
fn a_later_file_adds_and_replaces() {
    let ours = source(
        "shipped",
        "[vendor.generic]\n[vendor.a]\nreply = [{ attribute = \"A\", value = \"a\" }]\n",
    );
    let theirs = source(
        "local",
        "[vendor.a]\nextends = \"a\"\nreply = [{ attribute = \"B\", value = \"b\" }]\n[vendor.b]\nextends = \"a\"\n\
         [tenant.north]\na = \"generic\"\n",
    );
    let set = read_all(&[ours, theirs]).unwrap();
    let shown = |vendor: &Vendor| lines(&vendor.reply(&Terms::default()).unwrap());
    let a = set.get("A").unwrap();
    assert_eq!(shown(a), ["A = a", "B = b"]);
    assert_eq!(shown(set.get("b").unwrap()), ["A = a", "B = b"]);
    assert_eq!(set.vendors().len(), 3);
    assert_eq!(set.for_tenant(["North", "north"], a).name(), "generic");
    assert_eq!(set.for_tenant(["south", "s"], a).name(), "a");
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    let cases = [
        ("[vendor.generic", "v.toml:1: "),
        (
            "[vendor.generic]\ndescripton = \"x\"",
            "v.toml:2: unknown field `descripton`",
        ),
        ("[vendor.a]", "v.toml:1: there is no [vendor.generic]"),
        (
            "[vendor.generic]\n[vendor.Acme]",
            "v.toml:2: the vendor's name \"Acme\"",
        ),
        ("", "v.toml:1: there is no [vendor.generic]"),
        (
            "[vendor.generic]\n[vendor.a]\nextends = \"genric\"",
            "v.toml:3: there is no vendor \"genric\": did you mean \"generic\"?",
        ),
        (
            "[vendor.generic]\n[vendor.a]\nextends = \"b\"\n[vendor.b]\nextends = \"a\"",
            "extends itself by way of others",
        ),
        (
            "[vendor.generic]\n[vendor.a]\nextends = \"a\"",
            "v.toml:3: there is no vendor \"a\"",
        ),
        (
            "[vendor.generic]\n[vendor.a]\nwithout = [\n\"A\"]",
            "v.toml:4: the vendor extended writes no A",
        ),
        (
            "[vendor.generic]\n[tenant.t]\ngeneric = \"genric\"",
            "v.toml:3: there is no vendor \"genric\": did you mean \"generic\"?",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Unknown\"\nvalue = 1",
            "v.toml:3: no attribute Unknown",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Session-Timeout\"\nvalue = 1",
            "v.toml:3: Session-Timeout is written for every vendor",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"A\"\nvalue = 1\ntag = 1",
            "v.toml:5: A carries no tag",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Tagged\"\nvalue = 1\ntag = 32",
            "v.toml:5: a tag is from 1 to 31",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Number\"\nvalue = \"{upload_kbps}k\"",
            "v.toml:4: Number takes a number or one of its words, which \"{upload_kbps}k\" is not",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Number\"\nvalue = \"{plan}\"",
            "v.toml:4: Number takes a number",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Number\"\nvalue = \"Other-Word\"",
            "v.toml:4: Number has no word Other-Word",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Number\"\nvalue = 4294967296",
            "v.toml:4: Number has no word 4294967296",
        ),
        (
            "[vendor.generic]\n[[vendor.generic.reply]]\nattribute = \"Host\"\nvalue = \"192.0.2\"",
            "v.toml:4: Host takes an IPv4 address",
        ),
        (
            "[vendor.generic]\n[vendor.generic.coa]\nattributes = [\"A\",\n\"Unknown\"]",
            "v.toml:4: no attribute Unknown",
        ),
        (
            "[vendor.generic]\n[vendor.generic.coa]\nundo = [{ attribute = \"A\", value = \"\" }]",
            "v.toml:3: A is not among the attributes",
        ),
        (
            "[vendor.generic]\n[vendor.generic.coa]\nattributes = [\"A\"]\nundo = [{ attribute = \"A\" }]",
            "v.toml:4: either value",
        ),
        (
            "[vendor.generic]\n[vendor.generic.coa]\nattributes = [\"A\"]\nundo = [{ attribute = \"A\", value = \"{snt}\" }]",
            "v.toml:4: the value that takes an attribute back",
        ),
        (
            "[vendor.generic]\n[vendor.generic.coa]\nattributes = [\"A\"]\ntogether = [[\"A\", \"B\"]]",
            "v.toml:4: B is not among the attributes",
        ),
        (
            "[vendor.generic]\n[vendor.generic.coa]\nsession = [[\"Acct-Sesion-Id\"]]",
            "v.toml:3: unknown variant `Acct-Sesion-Id`",
        ),
        ("[vendor.generic]\n[vendor.generic.coa]\nport = 70000", "v.toml:3: "),
    ];
    for (text, expected) in cases {
        let faults = read(text).map(|_| ()).unwrap_err();
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains(expected) && fault.starts_with("v.toml:")),
            "{text:?} should say {expected:?}: {faults:#?}"
        );
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let text = with_template("\"{x}\"") + "[vendor.b]\nextends = \"y\"\n";
    assert_eq!(read(&text).map(|_| ()).unwrap_err().len(), 2);
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "(\\PC|\n|\\[vendor.generic\\]|\\{|\\}){0,200}") {
        let _ = read(&text);
    }
}
