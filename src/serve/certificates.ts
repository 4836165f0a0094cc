import { listCertificates } from '../client/certificate-document.js';
import { issueCertificate } from '../client/new-certificate.js';
import { renewCertificate } from '../client/renew-certificate.js';
import * as documents from './documents.js';
import { given } from './given.js';
import { domain, flag, wait } from './parameters.js';
import { route, type Route } from './route.js';

export const certificateRoutes: readonly Route[] = [
  route({
    ...{ method: 'GET', path: '/v1/certificates', id: 'listCertificates', scope: 'read' },
    summary: 'Certificates that your sites serve, the soonest to expire first',
    answer: documents.certificates,
    query: { all: flag.optional().describe('true: also those that were replaced or never installed') },
    run: async ({ chom, query }) => (await listCertificates(chom, query.all === true)).document,
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites/{domain}/certificate', id: 'issueCertificate', scope: 'operate' },
    summary: 'Get a certificate for a live site and serve it',
    answer: documents.asked,
    asksFor: 'issue-certificate',
    params: { domain },
    body: { wait },
    run: async ({ chom, path, body, operation }) =>
      await issueCertificate(chom, path.domain, { ...given(body), operation }),
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites/{domain}/certificate/renew', id: 'renewCertificate', scope: 'operate' },
    summary: 'Renew the certificate of a site now',
    answer: documents.asked,
    asksFor: 'issue-certificate',
    params: { domain },
    run: async ({ chom, path }) => await renewCertificate(chom, path.domain),
  }),
];
