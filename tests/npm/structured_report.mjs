// Reads structured reports as OHIF does, with @cornerstonejs/adapters: a JSON line for each file.
// Usage: node structured_report.mjs FILE...
import fs from 'node:fs';

// The libraries are made for a browser.
globalThis.window ??= globalThis;
globalThis.self ??= globalThis;
const dcmjs = (await import('dcmjs')).default;
const { metaData } = await import('@cornerstonejs/core');
const { default: MeasurementReport } = await import(
  '@cornerstonejs/adapters/cornerstone3D/MeasurementReport'
);

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
dcmjs.log.setLevel?.('silent');
const list = (value) => (Array.isArray(value) ? value : value === undefined ? [] : [value]);
const code = (sequence) => list(sequence)[0];
const IMAGE = 'film:1';
// A film whose pixels are the world: what a region says is then in pixels.
const PLANE = {
  rows: 4096, columns: 4096, rowCosines: [1, 0, 0], columnCosines: [0, 1, 0],
  rowPixelSpacing: 1, columnPixelSpacing: 1, imagePositionPatient: [0, 0, 0],
  imageOrientationPatient: [1, 0, 0, 0, 1, 0], frameOfReferenceUID: '1.2.3', usingDefaultValues: true,
};
metaData.addProvider((type) => (type === 'imagePlaneModule' ? PLANE : undefined));

const FINDING = { CodingSchemeDesignator: 'DCM', CodeValue: '121071' };
const FINDING_SITE = { CodingSchemeDesignator: 'SCT', CodeValue: '363698007' };
const codesOf = (group, wanted) =>
  list(group.ContentSequence)
    .filter((item) => MeasurementReport.codeValueMatch(item, wanted))
    .map((item) => [item, ...list(item.ContentSequence)].map((one) => code(one.ConceptCodeSequence).CodeValue));

function valuesOf(group) {
  const found = {};
  for (const item of list(group.ContentSequence)) {
    const name = code(item.ConceptNameCodeSequence)?.CodeValue;
    if (item.ValueType === 'NUM') {
      found[name] = Number(code(item.MeasuredValueSequence).NumericValue);
    } else if (item.ValueType === 'CODE' && item.RelationshipType === 'CONTAINS') {
      found[name] = code(item.ConceptCodeSequence).CodeValue;
    }
  }
  return found;
}

// The adapters look for a region in the first measurement, where a group has one; ours stands beside
// the measurements (TID 1410), which they read where a group has no measurement.
function regionOf(group, images, metadata) {
  const content = list(group.ContentSequence);
  if (!content.some((item) => item.ValueType === 'SCOORD')) {
    return {};
  }
  const alone = { ...group, ContentSequence: content.filter((item) => item.ValueType !== 'NUM') };
  const setUp = MeasurementReport.getSetupMeasurementData(alone, images, metadata, 'sharpedge');
  return {
    image: setUp.defaultState.annotation.metadata.referencedImageId,
    points: list(setUp.worldCoords).map((point) => [...point].slice(0, 2)),
  };
}

function read(path) {
  const file = fs.readFileSync(path);
  const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
  // It knows one character set at a time: of a name in several it reads what it can.
  const message = DicomMessage.readFile(bytes, { ignoreErrors: true });
  const dataset = DicomMetaDictionary.naturalizeDataset(message.dict);
  const images = {};
  for (const study of list(dataset.CurrentRequestedProcedureEvidenceSequence)) {
    for (const series of list(study.ReferencedSeriesSequence)) {
      for (const one of list(series.ReferencedSOPSequence)) {
        images[`${one.ReferencedSOPInstanceUID}:1`] = IMAGE;
      }
    }
  }
  const groups = [];
  const adapter = {
    toolType: 'sharpedge',
    getMeasurementData(group, map, metadata, tracking) {
      const [finding] = codesOf(group, FINDING);
      const found = { tracking, finding, sites: codesOf(group, FINDING_SITE), values: valuesOf(group) };
      groups.push({ ...found, ...regionOf(group, map, metadata) });
      return {};
    },
  };
  MeasurementReport.generateToolState(dataset, images, metaData, { getToolClass: () => adapter });
  return { path, sop_class: dataset.SOPClassUID, images: Object.keys(images).length, groups };
}

for (const path of process.argv.slice(2)) {
  console.log(JSON.stringify(read(path)));
}
process.exit(0);
