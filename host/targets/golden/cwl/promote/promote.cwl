# promote: Trains a model, and tags it `prod` where it beats the one that is.
#
# Made by `wharf pipeline compile promote.yaml --target cwl --stack local`.
# Change the pipeline, and make this anew. The pipeline itself is in the store: a task
# needs that and `wharf`, and nothing else.

cwlVersion: v1.2
$graph:
- id: main
  class: Workflow
  label: promote
  doc: Trains a model, and tags it `prod` where it beats the one that is.
  requirements:
    MultipleInputFeatureRequirement: {}
  inputs:
    run_id:
      doc: Another one for each run; with the same again, it goes on.
      type: string
    epochs:
      doc: How long to train
      type: long
      default: 5
    data:
      doc: An artifact (artifact:NAME, or a path; by default breast-cancer.csv)
      type:
      - "null"
      - string
      - File
      - Directory
  steps:
    split:
      doc: Runs steps/split.wasm.
      run: "#step"
      in:
        run_id: run_id
        epochs: epochs
        data: data
        step_name:
          default: split
        file_name:
          default: split
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
    train:
      doc: Runs steps/train.wasm, and publishes cancer-model.
      run: "#step"
      in:
        run_id: run_id
        epochs: epochs
        data: data
        step_name:
          default: train
        comes_after:
          source:
          - split/ending
          linkMerge: merge_flattened
        file_name:
          default: train
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
    compare:
      doc: Runs steps/compare.wasm.
      run: "#step"
      in:
        run_id: run_id
        epochs: epochs
        data: data
        step_name:
          default: compare
        comes_after:
          source:
          - split/ending
          - train/ending
          linkMerge: merge_flattened
        file_name:
          default: compare
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
    promote:
      doc: Publishes cancer-model:prod.
      run: "#step"
      in:
        run_id: run_id
        epochs: epochs
        data: data
        step_name:
          default: promote
        comes_after:
          source:
          - train/ending
          - compare/ending
          linkMerge: merge_flattened
        file_name:
          default: promote
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
  outputs:
    split_ending:
      type: File
      outputSource: split/ending
    train_ending:
      type: File
      outputSource: train/ending
    compare_ending:
      type: File
      outputSource: compare/ending
    promote_ending:
      type: File
      outputSource: promote/ending
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
  - sha256:14c2556cd49e12d4253b85f69a8c4acd828a40c8336deed13ded154d924eabb4
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    epochs: long
    data:
      type:
      - "null"
      - string
      - File
      - Directory
      inputBinding:
        prefix: data=
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
  - epochs=$(inputs.epochs)
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
