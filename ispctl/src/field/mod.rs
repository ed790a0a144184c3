//! Record fields, each named, explained and checked in one place.
//!
//! A field is an option of `add` and `set`, and for subscribers a column of the import file: same name, same syntax, same checks.
//! An empty value clears a field that may be empty.

mod nas;
mod network;
pub(crate) mod parse;
mod plan;
pub(crate) mod subscriber;
mod tenant;

use clap::builder::{TypedValueParser, ValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Check a text and store it. The error says what is wrong with the value, not which field it is.
type Set<T> = fn(&mut T, &str) -> Result<(), String>;

/// One field of a record.
#[derive(Debug)]
pub(crate) struct Field<T> {
    /// As the database, the JSON output and the import file name it; the option is the same with hyphens.
    pub(crate) name: &'static str,
    /// A shorter name for the option.
    alias: Option<&'static str>,
    /// What the option calls its value: the kind of it.
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
    pub(crate) set: Set<T>,
}

impl<T> Field<T> {
    const fn new(name: &'static str, value: &'static str, help: &'static str, set: Set<T>) -> Self {
        Self {
            name,
            alias: None,
            value,
            help,
            set,
        }
    }

    const fn alias(mut self, option: &'static str) -> Self {
        self.alias = Some(option);
        self
    }
}

/// A record whose fields can be named.
pub(crate) trait Record: Sized + Send + Sync + 'static {
    /// The field the record is known by: a positional argument, never an option.
    const KEY: Field<Self>;
    const FIELDS: &'static [Field<Self>];

    /// A record with the values that new ones have.
    fn blank() -> Self;
}

/// Check a positional argument against the field the record is known by.
pub(crate) fn key<T: Record>(text: &str) -> Result<String, String> {
    (T::KEY.set)(&mut T::blank(), text).map(|()| text.to_owned())
}

/// Check an id that another system gave.
pub(crate) fn id(text: &str) -> Result<String, String> {
    parse::required(text, 255)
}

/// The fields named on a command line, each checked already.
#[derive(Debug, Clone)]
pub(crate) struct FieldArgs<T: Record> {
    given: Vec<(&'static Field<T>, String)>,
}

impl<T: Record> FieldArgs<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        self.given.iter().any(|(field, _)| field.name == name)
    }

    /// Write the named fields into `record`, leaving the others.
    pub(crate) fn apply(&self, record: &mut T) -> Result<(), String> {
        for (field, text) in &self.given {
            (field.set)(record, text).map_err(|e| format!("{}: {e}", field.name))?;
        }
        Ok(())
    }
}

impl<T: Record> clap::FromArgMatches for FieldArgs<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = T::FIELDS
            .iter()
            .filter_map(|field| Some((field, matches.get_one::<String>(field.name)?.clone())))
            .collect();
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Record> clap::Args for FieldArgs<T> {
    fn augment_args(command: Command) -> Command {
        T::FIELDS
            .iter()
            .fold(command.next_help_heading("Fields"), |command, field| {
                let option = Arg::new(field.name)
                    .long(field.name.replace('_', "-"))
                    .value_name(field.value)
                    .help(field.help)
                    .action(ArgAction::Set)
                    .value_parser(ValueParser::new(FieldParser::<T>(field)));
                command.arg(match field.alias {
                    Some(alias) => option.visible_alias(alias),
                    None => option,
                })
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Lets clap report a bad value with the option it belongs to.
struct FieldParser<T: Record>(&'static Field<T>);

impl<T: Record> Clone for FieldParser<T> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<T: Record> TypedValueParser for FieldParser<T> {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let text = value
            .to_str()
            .ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))?;
        (self.0.set)(&mut T::blank(), text).map_err(|reason| {
            let option = arg.map(ToString::to_string).unwrap_or_default();
            command.clone().error(
                ErrorKind::ValueValidation,
                format!("invalid value {text:?} for '{option}': {reason}"),
            )
        })?;
        Ok(text.to_owned())
    }
}
