/* The compiled program, inside the binary that loads it. */
  .section .rodata
  .global rf_bpf_object
  .hidden rf_bpf_object
  .global rf_bpf_object_end
  .hidden rf_bpf_object_end
  .balign 8
rf_bpf_object:
  .incbin RF_BPF_OBJECT
rf_bpf_object_end:
  .section .note.GNU-stack, "", @progbits
