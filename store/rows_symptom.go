package store

// SymptomID names what was seen, and where. What a symptom has nothing to say about is NULL.
type SymptomID struct {
	NetNS      Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it; NULL for what is of the whole machine."`
	Symptom    string `col:"symptom" doc:"What was seen: the kernel's name of a counter that grew, such as ListenOverflows or rx_missed_errors, or words for a state, such as zero window; netsql help findings lists them."`
	Process    Ref    `col:"process" ref:"processes:pid,started,comm,exe,cmdline" doc:"The process whose sockets they are; NULL where none is known, and where it is of no process."`
	LocalPort  Int    `col:"local_port" doc:"Local port: of a listener, or of the service that the connections came to."`
	RemoteAddr string `col:"remote_addr" doc:"Address of the other end."`
	RemotePort Int    `col:"remote_port" doc:"Port of the other end, where this end connected to it."`
	Dev        string `col:"dev" doc:"Interface."`
}

// Symptom is how much of it there was. Of a counter it is the growth since the sample before, and may be summed up; of a state it is a number at the sample.
type Symptom struct {
	Amount Int `col:"amount,value" doc:"How much: the growth of a counter since the sample before, or how many sockets, entries or descriptors there are."`
	Total  Int `col:"total,value" doc:"What the amount is to be held against: the packets or segments that it is a part of, or the limit of entries or descriptors; of sockets that wait, for how many seconds the first of them has; NULL where there is nothing."`
}
