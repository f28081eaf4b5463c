//! stub
use limpid_connector::JsonText;
pub fn write_text(_: &[u8], _: JsonText, _: &mut Vec<u8>) -> Option<()> { None }
pub fn apply_differences(_: &[u8], _: &[u8], _: JsonText, _: &mut Vec<u8>) -> Option<()> { None }
