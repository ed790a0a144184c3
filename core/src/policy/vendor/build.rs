//! From files to vendors: who extends whom, what every name means.

use std::collections::{BTreeMap, HashMap};

use super::coa::{SENT, Undo, UndoBy, UndoValue};
use super::file::{self, AlternativeTable, CoaTable, ItemTable, Problem, Tenants, Text, UndoTable, VendorTable};
use super::item::{Alternative, Item, VendorAttribute};
use super::{Coa, Fault, GENERIC, SaysRate, Source, Vendor, VendorSet, nearest, template};
use crate::dictionary::{Definition, Definitions};
use crate::policy::reply::Attribute;

/// RFC 2868 section 3.1: tags are from 1 to 31.
const TAGS: std::ops::RangeInclusive<u8> = 1..=0x1f;

pub(super) fn build(sources: &[Source], definitions: &dyn Definitions) -> Result<VendorSet, Vec<Fault>> {
    let mut builder = Builder {
        sources,
        definitions,
        written: Vec::new(),
        attributes: Vec::new(),
        faults: Vec::new(),
    };
    let mut tenants = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        match file::parse(&source.text) {
            Err(problem) => builder.fault(number, problem),
            Ok(file) => {
                for (name, table) in file.vendor {
                    if let Err(problem) = check_name(&name) {
                        builder.fault(number, problem);
                    }
                    builder.written.push(Written {
                        file: number,
                        name,
                        table,
                    });
                }
                tenants.push((number, file.tenant));
            }
        }
    }
    let set = builder.vendors().map(|set| builder.tenants(set, tenants));
    match set {
        Some(set) if builder.faults.is_empty() => Ok(set),
        _ => {
            builder.faults.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
            builder.faults.dedup();
            Err(builder.faults)
        }
    }
}

/// A vendor as a file has it.
struct Written {
    file: usize,
    name: Text,
    table: VendorTable,
}

/// A vendor with what it takes over.
#[derive(Clone)]
struct Draft {
    extends: Option<String>,
    items: Vec<Item>,
    coa: Coa,
}

struct Builder<'b> {
    sources: &'b [Source],
    definitions: &'b dyn Definitions,
    written: Vec<Written>,
    attributes: Vec<VendorAttribute>,
    faults: Vec<Fault>,
}

impl Builder<'_> {
    fn fault(&mut self, file: usize, problem: Problem) {
        if let Some(source) = self.sources.get(file) {
            self.faults.push(Fault {
                path: source.path.clone(),
                line: file::line_at(&source.text, problem.at),
                problem: problem.what,
            });
        }
    }

    /// `None` where there are no vendors to speak of.
    fn vendors(&mut self) -> Option<VendorSet> {
        // The last of each name is the one that counts.
        let last: BTreeMap<String, usize> = self
            .written
            .iter()
            .enumerate()
            .map(|(index, written)| (written.name.get_ref().clone(), index))
            .collect();
        if !last.contains_key(GENERIC) {
            if self.faults.is_empty() {
                let what = format!(
                    "there is no [vendor.{GENERIC}], which every other vendor extends and which NAS of unknown vendors are \
                     taken for"
                );
                self.fault(0, Problem { at: 0, what });
            }
            return None;
        }
        let written = std::mem::take(&mut self.written);
        let mut drafts = Drafts {
            written: &written,
            last: &last,
            done: vec![None; written.len()],
        };
        let mut set = VendorSet {
            vendors: Vec::new(),
            names: HashMap::new(),
            ..VendorSet::default()
        };
        for (name, &number) in &last {
            let (Some(this), Some(draft)) = (written.get(number), drafts.draft(self, number, &mut Vec::new())) else {
                continue;
            };
            let index = u16::try_from(set.vendors.len()).unwrap_or(u16::MAX);
            let vendor = Vendor {
                name: name.clone(),
                description: this.table.description.clone(),
                extends: draft.extends,
                index,
                rates: SaysRate::of(&draft.items),
                items: draft.items,
                coa: draft.coa,
            };
            if name == GENERIC {
                set.generic = vendor.clone();
            }
            set.names.insert(name.clone(), index);
            set.vendors.push(vendor);
        }
        set.attributes.clone_from(&self.attributes);
        Some(set)
    }

    fn tenants(&mut self, mut set: VendorSet, tenants: Vec<(usize, Tenants)>) -> VendorSet {
        for (file, tables) in tenants {
            for (tenant, replacements) in tables {
                for (vendor, other) in &replacements {
                    let mut known = |name: &Text| match set.names.get(name.get_ref()) {
                        Some(index) => Some(*index),
                        None => {
                            let what = unknown_vendor(name.get_ref(), set.names.keys());
                            self.fault(file, Problem::at(name, what));
                            None
                        }
                    };
                    if let (Some(vendor), Some(other)) = (known(vendor), known(other)) {
                        set.tenants.entry(tenant.clone()).or_default().insert(vendor, other);
                    }
                }
            }
        }
        set
    }

    fn define(&mut self, name: &Text) -> Result<(VendorAttribute, Definition), Problem> {
        let definition = self
            .definitions
            .define(name.get_ref())
            .map_err(|why| Problem::at(name, why))?;
        if let Some(known) = self.attributes.iter().find(|known| *known.name == **name.get_ref()) {
            return Ok((known.clone(), definition));
        }
        let index = u16::try_from(self.attributes.len())
            .map_err(|_| Problem::at(name, "there are more attributes than can be told apart"))?;
        let attribute = VendorAttribute {
            name: name.get_ref().as_str().into(),
            index,
            longest: definition.longest,
        };
        self.attributes.push(attribute.clone());
        Ok((attribute, definition))
    }

    fn item(&mut self, table: &ItemTable) -> Result<Item, Problem> {
        let name = &table.attribute;
        if Attribute::ALL.iter().any(|own| own.name() == name.get_ref()) {
            let what = format!("{} is written for every vendor, from other columns", name.get_ref());
            return Err(Problem::at(name, what));
        }
        let (attribute, definition) = self.define(name)?;
        let tag = match &table.tag {
            None => 0,
            Some(tag) if !TAGS.contains(tag.get_ref()) => {
                return Err(Problem::at(tag, "a tag is from 1 to 31 (RFC 2868 section 3.1)"));
            }
            Some(tag) if !definition.tagged => {
                let what = format!("{} carries no tag in the server's dictionary", name.get_ref());
                return Err(Problem::at(tag, what));
            }
            Some(tag) => *tag.get_ref(),
        };
        let bad = |what| Problem::at(&table.value, what);
        let list = &table.value.get_ref().0;
        if list.is_empty() {
            return Err(bad("an empty list gives no value".to_owned()));
        }
        let alternatives = list
            .iter()
            .map(|one| self.alternative(one, name.get_ref(), &definition))
            .collect::<Result<Box<[_]>, _>>()
            .map_err(bad)?;
        Ok(Item {
            attribute,
            tag,
            of: alternatives
                .iter()
                .fold(Default::default(), |all, one| one.of().and(all)),
            alternatives,
        })
    }

    fn alternative(
        &self,
        table: &AlternativeTable,
        name: &str,
        definition: &Definition,
    ) -> Result<Alternative, String> {
        let any = table
            .any
            .iter()
            .map(|term| template::term(term))
            .collect::<Result<_, _>>()?;
        Alternative::new(&table.value, any, name, definition, self.definitions)
    }

    /// Check names that are not written by a template.
    fn names(&mut self, names: &[Text]) -> Result<Vec<String>, Problem> {
        names
            .iter()
            .map(|name| match self.definitions.define(name.get_ref()) {
                Ok(_) => Ok(name.get_ref().clone()),
                Err(why) => Err(Problem::at(name, why)),
            })
            .collect()
    }

    fn coa(&mut self, table: &CoaTable, mut coa: Coa) -> Result<Coa, Problem> {
        if let Some(attributes) = &table.attributes {
            coa.attributes = self.names(attributes)?;
            // What is no longer sent needs no taking back.
            coa.undo.retain(|undo| coa.attributes.contains(&undo.attribute));
            coa.together
                .retain(|set| set.iter().all(|name| coa.attributes.contains(name)));
        }
        let sent = |name: &Text, coa: &Coa| {
            if coa.attributes.contains(name.get_ref()) {
                return Ok(name.get_ref().clone());
            }
            let what = format!("{} is not among the attributes of this [coa]", name.get_ref());
            Err(Problem::at(name, what))
        };
        if let Some(sets) = &table.together {
            let known = |set: &Vec<Text>| set.iter().map(|name| sent(name, &coa)).collect();
            coa.together = sets.iter().map(known).collect::<Result<_, _>>()?;
        }
        if let Some(undo) = &table.undo {
            coa.undo = undo
                .iter()
                .map(|undo| {
                    Ok(Undo {
                        attribute: sent(&undo.attribute, &coa)?,
                        how: self.undo(undo)?,
                        adds: undo.adds,
                    })
                })
                .collect::<Result<_, _>>()?;
        }
        Ok(Coa {
            port: table.port.unwrap_or(coa.port),
            request: table.request.unwrap_or(coa.request),
            session: table.session.clone().unwrap_or(coa.session),
            signed_answers: table.signed_answers.unwrap_or(coa.signed_answers),
            notes: table.notes.clone().unwrap_or(coa.notes),
            ..coa
        })
    }

    fn undo(&mut self, table: &UndoTable) -> Result<UndoBy, Problem> {
        let by = table.by.as_ref().unwrap_or(&table.attribute);
        self.names(std::slice::from_ref(by))?;
        match &table.value {
            Some(value) if !table.disconnect => {
                if value.get_ref().replace(SENT, "").contains(['{', '}']) {
                    let what =
                        format!("the value that takes an attribute back may hold {SENT} and nothing else in braces");
                    return Err(Problem::at(value, what));
                }
                Ok(UndoBy::Send {
                    by: by.get_ref().clone(),
                    value: UndoValue(value.get_ref().clone()),
                })
            }
            None if table.disconnect && table.by.is_none() => Ok(UndoBy::Disconnect),
            _ => Err(Problem::at(
                &table.attribute,
                "either value (and by, where it is another attribute) or disconnect = true says how it is taken back",
            )),
        }
    }
}

/// The vendors that are finished, and those that are not.
struct Drafts<'d> {
    written: &'d [Written],
    last: &'d BTreeMap<String, usize>,
    done: Vec<Option<Draft>>,
}

impl Drafts<'_> {
    /// `pending`: those that extend this one.
    fn draft(&mut self, builder: &mut Builder<'_>, number: usize, pending: &mut Vec<usize>) -> Option<Draft> {
        if let Some(done) = self.done.get(number)?.clone() {
            return Some(done);
        }
        let this = self.written.get(number)?;
        pending.push(number);
        let base = match self.extended(number) {
            Ok(base) => base,
            Err(problem) => {
                builder.fault(this.file, problem);
                return None;
            }
        };
        let inherited = match base {
            None => Draft {
                extends: None,
                items: Vec::new(),
                coa: Coa::default(),
            },
            Some(base) if pending.contains(&base) => {
                let what = format!("{} extends itself by way of others", this.name.get_ref());
                builder.fault(this.file, Problem::at(&this.name, what));
                return None;
            }
            Some(base) => self.draft(builder, base, pending)?,
        };
        pending.pop();
        let draft = Draft {
            extends: base.and_then(|base| Some(self.written.get(base)?.name.get_ref().clone())),
            items: items(builder, this, inherited.items),
            coa: builder.coa(&this.table.coa, inherited.coa).unwrap_or_else(|problem| {
                builder.fault(this.file, problem);
                Coa::default()
            }),
        };
        if let Some(slot) = self.done.get_mut(number) {
            *slot = Some(draft.clone());
        }
        Some(draft)
    }

    /// The vendor that the one of this number extends.
    fn extended(&self, number: usize) -> Result<Option<usize>, Problem> {
        let Some(this) = self.written.get(number) else {
            return Ok(None);
        };
        let name = this.name.get_ref();
        let Some(extends) = &this.table.extends else {
            return Ok(self.last.get(GENERIC).copied().filter(|_| name != GENERIC));
        };
        if extends.get_ref().is_empty() {
            return Ok(None);
        }
        let found = if extends.get_ref() == name {
            // The one of an earlier file, which this one takes the place of.
            self.written
                .iter()
                .take(number)
                .rposition(|earlier| earlier.name.get_ref() == name)
        } else {
            self.last.get(extends.get_ref()).copied()
        };
        found.map(Some).ok_or_else(|| {
            let others = self.last.keys().filter(|other| *other != name);
            Problem::at(extends, unknown_vendor(extends.get_ref(), others))
        })
    }
}

/// The vendor's own items after those inherited; one of an attribute that is inherited takes that one's place.
fn items(builder: &mut Builder<'_>, this: &Written, inherited: Vec<Item>) -> Vec<Item> {
    let named = |names: &[Text], item: &Item| names.iter().any(|name| **name.get_ref() == *item.attribute.name);
    for name in &this.table.without {
        if !inherited.iter().any(|item| named(std::slice::from_ref(name), item)) {
            let what = format!("the vendor extended writes no {}", name.get_ref());
            builder.fault(this.file, Problem::at(name, what));
        }
    }
    let mut own = Vec::new();
    for table in &this.table.reply {
        match builder.item(table) {
            Ok(item) => own.push(item),
            Err(problem) => builder.fault(this.file, problem),
        }
    }
    let mut all = Vec::with_capacity(inherited.len() + own.len());
    for item in inherited {
        if named(&this.table.without, &item) {
            continue;
        }
        let (replacing, others): (Vec<_>, Vec<_>) = own.into_iter().partition(|own| own.attribute == item.attribute);
        own = others;
        // A second one of the same attribute has nothing left to be replaced by, and goes.
        let replaced = this
            .table
            .reply
            .iter()
            .any(|table| *item.attribute.name == **table.attribute.get_ref());
        if replaced {
            all.extend(replacing);
        } else {
            all.push(item);
        }
    }
    all.extend(own);
    all
}

/// The column of a NAS takes no others.
fn check_name(name: &Text) -> Result<(), Problem> {
    const LONGEST: usize = 30;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let text = name.get_ref();
    if text.chars().all(fits) && (1..=LONGEST).contains(&text.len()) {
        return Ok(());
    }
    let what = format!("the vendor's name {text:?} is not of 1 to {LONGEST} lower-case letters, digits, '-' and '_'");
    Err(Problem::at(name, what))
}

fn unknown_vendor<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let mut names: Vec<&str> = known.map(String::as_str).collect();
    names.sort_unstable();
    format!("there is no vendor {name:?}{}", nearest::hint(name, names.into_iter()))
}
