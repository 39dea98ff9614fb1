# flights: Counts a month of flights by carrier.
#
# Made by `wharf pipeline compile flights.yaml --target cwl --stack local`.
# Change the pipeline, and make this anew. The pipeline itself is in the store: a task
# needs that and `wharf`, and nothing else.

cwlVersion: v1.2
$graph:
- id: main
  class: Workflow
  label: flights
  doc: Counts a month of flights by carrier.
  inputs:
    run_id:
      doc: Another one for each run; with the same again, it goes on.
      type: string
    run_partition:
      doc: The month, such as 2013-01
      type: string
    flights:
      doc: An artifact (artifact:NAME, or a path; by default flights.csv)
      type:
      - "null"
      - string
      - File
      - Directory
  steps:
    summarise:
      doc: Runs steps/summarise.wasm, and publishes flights-of-a-month.
      run: "#step"
      in:
        run_id: run_id
        run_partition: run_partition
        flights: flights
        step_name:
          default: summarise
        file_name:
          default: summarise
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 272
  outputs:
    summarise_ending:
      type: File
      outputSource: summarise/ending
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
  - sha256:426d0a263e05ec5a65583c4d1e0135c707beb40b0131d4f639e51fcb2b3ac0cb
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    run_partition:
      type: string
      inputBinding:
        prefix: --partition
    flights:
      type:
      - "null"
      - string
      - File
      - Directory
      inputBinding:
        prefix: flights=
        separate: false
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
