;; Traps three calls deep, with names for the backtrace.
(component
  (core module $steps
    (func $load_row unreachable)
    (func $load_table (call $load_row))
    (func $fit (export "run") (call $load_table)))
  (core instance $i (instantiate $steps))
  (func (export "run") (canon lift (core func $i "run"))))
