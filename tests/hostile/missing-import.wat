;; Imports an interface that no host of Wharf provides, and would be fine otherwise.
(component
  (import "acme:gpu/kernels@1.0.0" (instance $kernels
    (export "launch" (func (param "threads" u32)))))
  (core func $launch (canon lower (func $kernels "launch")))
  (core module $m
    (import "kernels" "launch" (func $launch (param i32)))
    (func (export "run") (call $launch (i32.const 1024))))
  (core instance $i (instantiate $m
    (with "kernels" (instance (export "launch" (func $launch))))))
  (func (export "run") (canon lift (core func $i "run"))))
