;; A component with code and an exported type, and no function to call.
(component
  (core module $m (func (export "run")))
  (core instance $i (instantiate $m))
  (type $shape (enum "circle" "square"))
  (export "shape" (type $shape)))
