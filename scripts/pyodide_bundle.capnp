@0xb1f6c2a94d7e3508;
# The part of workerd's Pyodide bundle format that our bundle fills. The numbers are the
# format; the names are read by scripts/pyodide_bundle.py only.

struct Bundle {
  modules @0 :List(Module);
}

struct Module {
  name @0 :Text;
  union {
    source @1 :Data;  # JavaScript
    wasm @4 :Data;
    data @5 :Data;
    json @6 :Text;
  }
  kind @2 :Kind;
  declaration @3 :Text;
  compileCache @7 :Data;
}

enum Kind {
  bundle @0;
  builtin @1;
  internal @2;  # importable by workerd's own modules only
}
