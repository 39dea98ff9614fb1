;; A core module that is neither a component nor a program for WASI.
(module
  (func (export "run") (result i32) (i32.const 42)))
