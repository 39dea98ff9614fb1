# regions
#
# Made by `wharf pipeline compile regions.yaml --target cwl --stack local`.
# Change the pipeline, and make this anew. The pipeline itself is in the store: a task
# needs that and `wharf`, and nothing else.

cwlVersion: v1.2
$graph:
- id: main
  class: Workflow
  label: regions
  inputs:
    run_id:
      doc: Another one for each run; with the same again, it goes on.
      type: string
    run_partition:
      doc: The partition, such as north
      type:
        type: enum
        symbols:
        - north
        - south
  steps:
    count:
      doc: Runs steps/count.wasm.
      run: "#step"
      in:
        run_id: run_id
        run_partition: run_partition
        step_name:
          default: count
        file_name:
          default: count
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
  outputs:
    count_ending:
      type: File
      outputSource: count/ending
- id: step
  class: CommandLineTool
  doc: Runs a step of the pipeline.
  baseCommand:
  - wharf
  - step
  - exec
  - --store
  - /srv/wharf store
  - --pipeline
  - sha256:64b8bd7bd9ee0da4cf466ce7b50434dafa0c7ef0f2e92f503b56112b74490b18
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    run_partition:
      type:
        type: enum
        symbols:
        - north
        - south
      inputBinding:
        prefix: --partition
    step_name:
      type: string
      inputBinding:
        prefix: --step
    file_name: string
    comes_after: File[]?
  arguments:
  - --ending-to
  - $(inputs.file_name).json
  outputs:
    ending:
      doc: How it ended, and what it returned, as JSON.
      type: File
      outputBinding:
        glob: $(inputs.file_name).json
  successCodes:
  - 0
  - 99
  temporaryFailCodes:
  - 75
  permanentFailCodes:
  - 1
  - 2
