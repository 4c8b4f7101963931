package store

// ModuleID names a kernel module.
type ModuleID struct {
	Name string `col:"name" doc:"Name of the module, as lsmod shows it."`
}

// Module is a line of /proc/modules.
type Module struct {
	State  string `col:"state,rare" doc:"Live; Loading or Unloading for a moment."`
	Size   Int    `col:"size,rare" unit:"bytes" doc:"Memory that it takes."`
	Taints string `col:"taints,rare" doc:"Why the kernel calls itself tainted by it, by the letters of the kernel's admin guide: P proprietary, O from outside the kernel's source, E not signed, C staging and so on; NULL for none."`
}
